//! Finds the end of a record that is an object or an array. It looks at strings, escapes and brackets only, since the
//! decoder checks the rest. It can stop at any byte and go on there.

use super::super::failure::SplitFault;
use super::MAX_RECORD;
use super::token::string_end;

/// The bytes that matter outside of strings.
const STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut index = 0;
    while index < 6 {
        table[b"\"{}[]\\"[index] as usize] = true;
        index += 1;
    }
    table
};

#[derive(Debug, Default)]
pub(super) struct RecordEnd {
    /// The closing brackets that are still to come, innermost last.
    closers: Vec<u8>,
    quoted: bool,
    escaped: bool,
}

impl RecordEnd {
    /// Begins a record with its opening bracket.
    pub fn begin(&mut self, bracket: u8) {
        self.closers.clear();
        self.closers.push(if bracket == b'{' { b'}' } else { b']' });
        (self.quoted, self.escaped) = (false, false);
    }

    pub fn in_text(&self) -> bool {
        self.quoted
    }

    /// Reads on. Returns the position after what was read, and whether the record ends there.
    pub fn feed(&mut self, buffer: &[u8], mut at: usize) -> Result<(usize, bool), SplitFault> {
        loop {
            if self.quoted {
                let (end, open) = string_end(buffer, at, std::mem::take(&mut self.escaped));
                at = end;
                if let Some(escaped) = open {
                    self.escaped = escaped;
                    break;
                }
                self.quoted = false;
            }
            while at < buffer.len() && !STRUCTURAL[buffer[at] as usize] {
                at += 1;
            }
            let Some(&byte) = buffer.get(at) else { break };
            at += 1;
            if self.closers.len() > MAX_RECORD {
                let reason = format!("more than {} million brackets are open here", MAX_RECORD >> 20);
                return Err(SplitFault::new(at - 1, reason));
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' => self.closers.push(b'}'),
                b'[' => self.closers.push(b']'),
                // A backslash outside of a string. The decoder will refuse the record.
                b'\\' => {}
                _ => {
                    if self.closers.pop() != Some(byte) {
                        return Err(SplitFault::new(at - 1, "a bracket closes that is not the one open"));
                    }
                    if self.closers.is_empty() {
                        return Ok((at, true));
                    }
                }
            }
        }
        Ok((buffer.len(), false))
    }
}
