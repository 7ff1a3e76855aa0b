//! Opens the files of a listing, one after the other. Small objects of a store are opened while an earlier one is still
//! read, so that several requests are under way at once.

use std::collections::VecDeque;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::files::FileHandle;
use super::listing::Listing;
use super::part::Stretch;
use super::stored::Origin;
use crate::error::Result;

/// The most objects to fetch ahead, beside the one that is being read. With a round trip of 50 ms to the store, these
/// are about 1,300 objects a second.
const OBJECTS: usize = 63;

/// The most bytes that these objects may have together.
const BYTES: u64 = 8 << 20;

/// The files of a listing that are to be read, opened in its order, each at its first byte to read.
pub(super) struct Ahead<'a> {
    listing: &'a Listing,
    runtime: &'a Handle,
    stop: &'a CancellationToken,
    /// The files that are opened and not yet returned.
    waiting: VecDeque<Result<Origin>>,
    /// The size of the waiting files together.
    bytes: u64,
    /// The index of the next file to return.
    next: usize,
    /// The index after the last one.
    end: usize,
}

impl<'a> Ahead<'a> {
    pub fn new(listing: &'a Listing, runtime: &'a Handle, stop: &'a CancellationToken) -> Self {
        let files = listing.read_files();
        Self {
            listing,
            runtime,
            stop,
            waiting: VecDeque::new(),
            bytes: 0,
            next: files.start,
            end: files.end,
        }
    }

    fn open(&self, index: usize) -> Result<Origin> {
        let (file, handle) = (&self.listing.files()[index], &self.listing.handles[index]);
        let at = self.listing.stretch(index).map_or(0, Stretch::opened_at);
        Origin::open(file, handle, at, self.runtime, self.stop.clone())
    }

    /// Starts to fetch the objects that come next, as far as the limits allow. A local file ends this.
    fn fetch_ahead(&mut self) {
        while self.waiting.len() < OBJECTS {
            let index = self.next + self.waiting.len();
            let Some(file) = self.listing.files()[..self.end].get(index) else {
                return;
            };
            let remote = matches!(self.listing.handles[index], FileHandle::Remote(..));
            if !remote || self.bytes + file.size > BYTES {
                return;
            }
            self.bytes += file.size;
            self.waiting.push_back(self.open(index));
        }
    }
}

impl Iterator for Ahead<'_> {
    /// The index of the file in the listing, and where its bytes come from.
    type Item = (usize, Result<Origin>);

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let file = self.listing.files()[..self.end].get(index)?;
        let opened = match self.waiting.pop_front() {
            Some(opened) => {
                self.bytes -= file.size;
                opened
            }
            None => self.open(index),
        };
        self.next += 1;
        self.fetch_ahead();
        Some((index, opened))
    }
}
