//! Splits delimited text. A record is a row, which ends with LF, CR or CRLF. A quoted cell may hold any of them. It finds the header and the rows, and
//! splits a row into cells. It does not interpret a cell.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use memchr::{memchr, memchr3};

use super::super::failure::SplitFault;
use super::{Found, Scanner};
use crate::model::refusal::Reason;
use crate::model::{CsvOptions, Kind};

/// The columns of a file, as the kinds of its records see them.
#[derive(PartialEq, Eq)]
pub(crate) struct CsvHeader {
    /// By kind.
    pub kinds: Vec<Columns>,
    /// The names of the columns, which may be data. Empty if the file has no header.
    names: Vec<Box<str>>,
}

/// The declared field of a kind that each column of a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    /// For each column of the file, the index of its field. `None`: the kind does not declare the column.
    pub fields: Vec<Option<usize>>,
    /// The fields that no column holds. They are null.
    pub lacking: Vec<usize>,
    /// Why no record of the kind can be read from these columns.
    pub unfit: Option<Reason>,
    /// For each condition of the kind, the column that it looks at.
    pub conditions: Vec<Option<usize>>,
    /// Whether another kind has something to do with a column.
    of_others: Vec<bool>,
}

impl Columns {
    /// Whether a column that is not declared is known nevertheless: it tells the kind of the record, or it belongs to
    /// another kind and is empty here.
    pub fn is_aside(&self, column: usize, is_null: bool) -> bool {
        self.conditions.contains(&Some(column)) || (is_null && self.of_others.get(column).copied().unwrap_or_default())
    }
}

impl CsvHeader {
    /// The header of a file whose columns have no names, and that holds records of one kind.
    #[cfg(test)]
    pub fn unnamed(columns: Vec<Option<usize>>) -> Self {
        let columns = Columns {
            fields: columns,
            ..Columns::default()
        };
        Self {
            kinds: vec![columns],
            names: Vec::new(),
        }
    }

    pub fn undeclared(&self, column: usize) -> &str {
        self.names.get(column).map_or("", |name| name)
    }
}

impl fmt::Debug for CsvHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsvHeader({:?})", self.kinds)
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

/// A kind of records.
struct Declared {
    fields: Vec<DeclaredField>,
    /// The columns that its conditions look at. A column has no parts, so a longer path leads nowhere.
    conditions: Vec<Option<String>>,
    /// Whether the file can hold records of this kind.
    is_possible: bool,
}

/// A declared field.
struct DeclaredField {
    name: String,
    required: bool,
}

pub(crate) struct CsvScanner {
    options: CsvOptions,
    kinds: Vec<Declared>,
    header: Option<Arc<CsvHeader>>,
    state: State,
    /// The start of the row that has not ended yet.
    row: usize,
}

impl CsvScanner {
    /// `of_file`: the only kind of which the file can hold records.
    pub fn new(options: &CsvOptions, kinds: &[Kind], of_file: Option<usize>) -> Self {
        let possible = |index| of_file.is_none_or(|of_file| of_file == index);
        let declared = kinds.iter().enumerate();
        let kinds: Vec<Declared> = declared
            .map(|(index, kind)| Declared::new(kind, possible(index)))
            .collect();
        // Without a header line, the columns are the declared fields in their order.
        let header = || CsvHeader {
            kinds: kinds.iter().map(Declared::in_order).collect(),
            names: Vec::new(),
        };
        Self {
            header: (!options.header).then(|| Arc::new(header())),
            options: options.clone(),
            kinds,
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
        let header = read_header(&buffer[row.clone()], &self.options, &self.kinds);
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
    fn new(kind: &Kind, is_possible: bool) -> Self {
        let field = |field: &crate::model::Field| DeclaredField {
            name: field.name.clone(),
            required: field.required,
        };
        let column = |condition: &crate::model::Condition| match &condition.path[..] {
            [name] => Some(name.clone()),
            _ => None,
        };
        Self {
            fields: kind.schema.iter().map(field).collect(),
            conditions: kind.conditions.iter().map(column).collect(),
            is_possible,
        }
    }

    fn in_order(&self) -> Columns {
        let position = |name: &String| self.fields.iter().position(|field| field.name == *name);
        let conditions = self.conditions.iter();
        Columns {
            fields: (0..self.fields.len()).map(Some).collect(),
            conditions: conditions.map(|name| name.as_ref().and_then(position)).collect(),
            ..Columns::default()
        }
    }

    fn knows(&self, name: &str) -> bool {
        let mut conditions = self.conditions.iter().flatten();
        self.fields.iter().any(|field| field.name == name) || conditions.any(|condition| condition == name)
    }

    /// The columns with these names, as this kind sees them.
    fn columns(&self, names: &[Box<str>], kinds: &[Self]) -> Result<Columns, Reason> {
        let mut columns: Vec<Option<usize>> = Vec::new();
        for name in names {
            let field = self.fields.iter().position(|field| *field.name == **name);
            if let Some(index) = field.filter(|index| columns.contains(&Some(*index))) {
                return Err(format!("the header names the column `{}` twice", self.fields[index].name).into());
            }
            columns.push(field);
        }
        let lacking = (0..self.fields.len()).filter(|index| !columns.contains(&Some(*index)));
        let lacking: Vec<usize> = lacking.collect();
        let required = lacking
            .iter()
            .map(|index| &self.fields[*index])
            .filter(|field| field.required);
        let required: Vec<String> = required.map(|field| format!("`{}`", field.name)).collect();
        let unfit: Option<Reason> = if lacking.len() == self.fields.len() {
            Some("the header names none of the declared columns".into())
        } else if required.is_empty() {
            None
        } else {
            Some(format!("the header lacks the required column(s) {}", required.join(", ")).into())
        };
        let column = |name: &Option<String>| names.iter().position(|known| Some(&**known) == name.as_deref());
        let of_others = |name: &str| kinds.iter().any(|kind| kind.knows(name));
        Ok(Columns {
            fields: columns,
            lacking,
            unfit,
            conditions: self.conditions.iter().map(column).collect(),
            of_others: names.iter().map(|name| of_others(name)).collect(),
        })
    }
}

/// Reads the names of the columns.
///
/// # Errors
/// A header from which no record of any kind can be read.
fn read_header(row: &[u8], options: &CsvOptions, kinds: &[Declared]) -> Result<CsvHeader, Reason> {
    let row = std::str::from_utf8(row).map_err(|_| "the header is not valid UTF-8")?;
    let names = Cells::new(row, options).map(|cell| cell.map(Box::from));
    let names: Vec<Box<str>> = names.collect::<Result<_, Reason>>()?;
    let columns = |kind: &Declared| {
        if kind.is_possible {
            kind.columns(&names, kinds)
        } else {
            Ok(Columns::default())
        }
    };
    let found: Vec<Columns> = kinds.iter().map(columns).collect::<Result<_, Reason>>()?;
    let mut possible = found.iter().zip(kinds).filter(|(_, kind)| kind.is_possible).peekable();
    if let Some(reason) = possible.peek().and_then(|(first, _)| first.unfit.clone())
        && possible.all(|(columns, _)| columns.unfit.is_some())
    {
        return Err(reason);
    }
    Ok(CsvHeader { kinds: found, names })
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
