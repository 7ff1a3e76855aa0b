//! Splits delimited text. A record is a row, and a quoted cell may hold newlines. It finds the header and the rows, and
//! splits a row into cells. It does not interpret a cell.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::{memchr, memchr2};

use super::super::failure::SplitFault;
use super::{Found, Scanner};
use crate::model::refusal::Reason;
use crate::model::{CsvOptions, Field};

/// The declared field that each column of a file holds.
#[derive(PartialEq, Eq)]
pub(crate) struct CsvHeader {
    /// For each column of the file, the index of its field. `None`: the column is not declared.
    pub columns: Vec<Option<usize>>,
    /// The names of the columns that are not declared, and empty texts for the others. The names may be data.
    names: Vec<Box<str>>,
}

impl CsvHeader {
    /// The header of a file whose columns have no names.
    pub fn unnamed(columns: Vec<Option<usize>>) -> Self {
        let names = Vec::new();
        Self { columns, names }
    }

    pub fn undeclared(&self, column: usize) -> &str {
        self.names.get(column).map_or("", |name| name)
    }
}

impl fmt::Debug for CsvHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsvHeader({:?})", self.columns)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// After a quote within a quoted cell. If a second quote follows, both stand for a literal one.
    Quote,
}

pub(crate) struct CsvScanner {
    options: CsvOptions,
    names: Vec<String>,
    header: Option<Arc<CsvHeader>>,
    state: State,
    /// The start of the row that has not ended yet.
    row: usize,
}

impl CsvScanner {
    pub fn new(options: &CsvOptions, schema: &[Field]) -> Self {
        let header = CsvHeader::unnamed((0..schema.len()).map(Some).collect());
        Self {
            options: options.clone(),
            names: schema.iter().map(|field| field.name.clone()).collect(),
            // Without a header line, the columns are the declared fields in their order.
            header: (!options.header).then(|| Arc::new(header)),
            state: State::CellStart,
            row: 0,
        }
    }

    fn row_done(&mut self, buffer: &[u8], end: usize, rows: &mut Vec<Found>) -> Result<(), SplitFault> {
        let row = self.row..end - usize::from(buffer[self.row..end].ends_with(b"\r"));
        self.state = State::CellStart;
        if row.is_empty() {
            return Ok(());
        }
        if self.header.is_some() {
            rows.push(row.into());
            return Ok(());
        }
        let header = read_header(&buffer[row.clone()], &self.options, &self.names);
        self.header = Some(Arc::new(header.map_err(|reason| SplitFault::new(row.start, reason))?));
        Ok(())
    }
}

impl Scanner for CsvScanner {
    fn scan(&mut self, buffer: &[u8], from: usize, rows: &mut Vec<Found>) -> Result<(), SplitFault> {
        let CsvOptions { delimiter, quote, .. } = self.options;
        let mut at = from;
        while at < buffer.len() {
            match self.state {
                State::Quoted => match memchr(quote, &buffer[at..]) {
                    None => break,
                    Some(skip) => {
                        self.state = State::Quote;
                        at += skip + 1;
                    }
                },
                State::Quote | State::CellStart if buffer[at] == quote => {
                    self.state = State::Quoted;
                    at += 1;
                }
                State::CellStart | State::Plain | State::Quote => match memchr2(delimiter, b'\n', &buffer[at..]) {
                    None => {
                        self.state = State::Plain;
                        break;
                    }
                    Some(skip) => {
                        at += skip + 1;
                        self.state = State::CellStart;
                        if buffer[at - 1] == b'\n' {
                            self.row_done(buffer, at - 1, rows)?;
                            self.row = at;
                        }
                    }
                },
            }
        }
        Ok(())
    }

    fn finish(&mut self, buffer: &[u8], rows: &mut Vec<Found>) -> Result<(), SplitFault> {
        if self.state == State::Quoted {
            return Err(SplitFault::new(
                self.row,
                "the file ends inside the row that starts here: a quote is not closed",
            ));
        }
        self.row_done(buffer, buffer.len(), rows)
    }

    fn keep_from(&self, _end: usize) -> usize {
        self.row
    }

    fn shift(&mut self, count: usize) {
        self.row -= count;
    }

    fn skip_open(&mut self) -> bool {
        // A header that is too large can't be skipped, since all column names are needed.
        self.header.is_some()
    }

    fn header(&self) -> Option<Arc<CsvHeader>> {
        self.header.clone()
    }
}

fn read_header(row: &[u8], options: &CsvOptions, names: &[String]) -> Result<CsvHeader, Reason> {
    let row = std::str::from_utf8(row).map_err(|_| "the header is not valid UTF-8")?;
    let mut columns: Vec<Option<usize>> = Vec::new();
    let mut undeclared: Vec<Box<str>> = Vec::new();
    for cell in Cells::new(row, options) {
        let cell = cell?;
        let field = names.iter().position(|name| *name == cell);
        if let Some(index) = field.filter(|index| columns.contains(&Some(*index))) {
            return Err(format!("the header names the column `{}` twice", names[index]).into());
        }
        undeclared.push(if field.is_none() { cell.into() } else { Box::default() });
        columns.push(field);
    }
    let missing = |(index, name)| (!columns.contains(&Some(index))).then_some(name);
    let missing: Vec<&String> = names.iter().enumerate().filter_map(missing).collect();
    if missing.is_empty() {
        return Ok(CsvHeader {
            columns,
            names: undeclared,
        });
    }
    let list = missing
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Err(format!("the header lacks the declared column(s) {list}").into())
}

/// The cells of one row.
pub(crate) struct Cells<'a> {
    row: Option<&'a str>,
    delimiter: u8,
    quote: u8,
}

impl<'a> Cells<'a> {
    pub fn new(row: &'a str, options: &CsvOptions) -> Self {
        Self {
            row: Some(row),
            delimiter: options.delimiter,
            quote: options.quote,
        }
    }

    fn plain(&mut self, row: &'a str) -> Cow<'a, str> {
        match memchr(self.delimiter, row.as_bytes()) {
            None => {
                self.row = None;
                row.into()
            }
            Some(end) => {
                self.row = Some(&row[end + 1..]);
                row[..end].into()
            }
        }
    }

    fn quoted(&mut self, row: &'a str) -> Result<Cow<'a, str>, Reason> {
        let mut cell = Cow::Borrowed("");
        let mut rest = row;
        loop {
            let end = memchr(self.quote, rest.as_bytes()).ok_or("a quote is not closed")?;
            if cell.is_empty() {
                cell = rest[..end].into();
            } else {
                cell.to_mut().push_str(&rest[..end]);
            }
            rest = &rest[end + 1..];
            match rest.as_bytes().first() {
                None => {
                    self.row = None;
                    return Ok(cell);
                }
                Some(next) if *next == self.delimiter => {
                    self.row = Some(&rest[1..]);
                    return Ok(cell);
                }
                Some(next) if *next == self.quote => {
                    cell.to_mut().push(char::from(self.quote));
                    rest = &rest[1..];
                }
                Some(_) => return Err("text follows the quote that closes a cell".into()),
            }
        }
    }
}

impl<'a> Iterator for Cells<'a> {
    type Item = Result<Cow<'a, str>, Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.row?;
        if row.as_bytes().first() == Some(&self.quote) {
            let cell = self.quoted(&row[1..]);
            if cell.is_err() {
                self.row = None;
            }
            return Some(cell);
        }
        Some(Ok(self.plain(row)))
    }
}
