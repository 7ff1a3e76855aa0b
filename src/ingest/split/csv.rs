//! Splits delimited text. A record is a row, which ends with LF, CR or CRLF. A quoted cell may hold any of them. It
//! finds the header and the rows, and splits a row into cells. It does not interpret a cell.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::{memchr, memchr3};

use super::super::failure::{SplitFault, no_text};
use super::{Found, Scanner};
use crate::model::refusal::Reason;
use crate::model::{CsvOptions, Encoding, Field};

/// The declared field that each column of a file holds.
#[derive(PartialEq, Eq)]
pub(crate) struct CsvHeader {
    /// For each column of the file, the index of its field. `None`: the column is not declared.
    pub columns: Vec<Option<usize>>,
    /// The fields that no column holds. They are null.
    pub lacking: Vec<usize>,
    /// The names of the columns that are not declared, and empty texts for the others. The names may be data.
    names: Vec<Box<str>>,
}

impl CsvHeader {
    /// The header of a file whose columns have no names.
    pub fn unnamed(columns: Vec<Option<usize>>) -> Self {
        Self {
            columns,
            lacking: Vec::new(),
            names: Vec::new(),
        }
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

/// A declared field.
struct Declared {
    name: String,
    required: bool,
}

pub(crate) struct CsvScanner {
    options: CsvOptions,
    encoding: Encoding,
    fields: Vec<Declared>,
    header: Option<Arc<CsvHeader>>,
    state: State,
    /// The start of the row that has not ended yet.
    row: usize,
}

impl CsvScanner {
    pub fn new(options: &CsvOptions, schema: &[Field], encoding: Encoding) -> Self {
        let header = CsvHeader::unnamed((0..schema.len()).map(Some).collect());
        Self {
            options: options.clone(),
            encoding,
            fields: schema.iter().map(Declared::new).collect(),
            // Without a header line, the columns are the declared fields in their order.
            header: (!options.header).then(|| Arc::new(header)),
            state: State::CellStart,
            row: 0,
        }
    }

    /// Adds the row that ends before `end`. Between the two bytes of a CRLF it is empty, like an empty line.
    fn row_done(&mut self, buffer: &[u8], end: usize, rows: &mut Vec<Found>) -> Result<(), SplitFault> {
        let row = self.row..end;
        self.state = State::CellStart;
        if row.is_empty() {
            return Ok(());
        }
        if self.header.is_some() {
            rows.push(row.into());
            return Ok(());
        }
        let header = match std::str::from_utf8(&buffer[row.clone()]) {
            Ok(header) => read_header(header, &self.options, &self.fields),
            Err(_) => Err(format!("the header is {}", no_text(self.encoding)).into()),
        };
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
                State::CellStart | State::Plain | State::Quote => match memchr3(delimiter, b'\n', b'\r', &buffer[at..])
                {
                    None => {
                        self.state = State::Plain;
                        break;
                    }
                    Some(skip) => {
                        at += skip + 1;
                        self.state = State::CellStart;
                        if buffer[at - 1] != delimiter {
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

impl Declared {
    fn new(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            required: field.required,
        }
    }
}

fn read_header(row: &str, options: &CsvOptions, fields: &[Declared]) -> Result<CsvHeader, Reason> {
    let mut columns: Vec<Option<usize>> = Vec::new();
    let mut names: Vec<Box<str>> = Vec::new();
    for cell in Cells::new(row, options) {
        let cell = cell?;
        let field = fields.iter().position(|field| *field.name == *cell);
        if let Some(index) = field.filter(|index| columns.contains(&Some(*index))) {
            return Err(format!("the header names the column `{}` twice", fields[index].name).into());
        }
        names.push(if field.is_none() { cell.into() } else { Box::default() });
        columns.push(field);
    }
    let lacking = (0..fields.len()).filter(|index| !columns.contains(&Some(*index)));
    let lacking: Vec<usize> = lacking.collect();
    if lacking.len() == fields.len() {
        return Err("the header names none of the declared columns".into());
    }
    let required = lacking
        .iter()
        .map(|index| &fields[*index])
        .filter(|field| field.required);
    let required: Vec<String> = required.map(|field| format!("`{}`", field.name)).collect();
    if required.is_empty() {
        return Ok(CsvHeader {
            columns,
            lacking,
            names,
        });
    }
    Err(format!("the header lacks the required column(s) {}", required.join(", ")).into())
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
