//! Gives each record to the decoder of its kind, so that it is decoded once.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::failure::{Fault, Flaw, no_text};
use super::super::files::InputFile;
use super::super::split::{Cells, Chunk, CsvHeader};
use super::super::unknown::Unknown;
use super::look::Looks;
use super::salvage::Salvage;
use super::strays::Strays;
use super::{Decoded, Decoder, Decoding, Plan, check_json};
use crate::error::Result;
use crate::mask::NameHash;
use crate::model::refusal::{MALFORMED, Reason, UNKNOWN_KIND};
use crate::model::{
    CsvOptions, Encoding, FieldType, Kind, MaskKind, OnUnknownKind, PhiClass, RECORD_BITS, Refusal, Source,
    arrow_schema, subject,
};

/// The path of a whole record.
pub(in super::super) const WHOLE: &str = "$";

/// The longest text that is shown as the name of a kind, in bytes.
const LONGEST_NAME: usize = 64;

/// What decoding needs, for each kind of a source.
pub(in super::super) struct Kinds {
    pub each: Vec<Decoding>,
    routes: Vec<Route>,
    looks: Looks,
    pub on_unknown_kind: OnUnknownKind,
    pub names: Option<NameHash>,
    /// Whether a value that no condition names is the name of a kind, and not data.
    clear: bool,
    csv: CsvOptions,
    encoding: Encoding,
}

/// The conditions of a kind: the index of each path in [`Kinds::looks`], and the values.
struct Route(Vec<(usize, Vec<String>)>);

/// The result of decoding some records.
pub(in super::super) struct Parts {
    /// At most one for each kind.
    pub decoded: Vec<Decoded>,
    /// Refused records whose kind is not known.
    pub refused: Vec<Refusal>,
    /// The records of no declared kind.
    pub strays: Unknown,
    /// Records of other kinds than the only one that is wanted.
    pub skipped: u64,
}

/// What a record turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Found<'t> {
    /// The index of its kind.
    Kind(usize),
    /// Of no declared kind; with the value that would tell its kind.
    Stray(Option<Cow<'t, str>>),
    /// Of two kinds at once.
    Both(usize, usize),
}

impl Kinds {
    /// Prepares the kinds of a source. `names` is the keyed hash by which names are told apart.
    pub fn new(source: &Source, names: Option<&NameHash>) -> Result<Self> {
        let mut looks = Looks::default();
        let mut route = |kind: &Kind| {
            let conditions = kind.conditions.iter();
            Route(
                conditions
                    .map(|one| (looks.index(&one.path), one.values.clone()))
                    .collect(),
            )
        };
        let routes = source.kinds.iter().map(&mut route).collect();
        let decoding = |(index, kind): (usize, &Kind)| {
            Ok(Decoding {
                kind: index,
                plan: Plan::new(kind)?,
                schema: arrow_schema(kind),
                on_unknown_field: kind.on_unknown_field,
                names: names.cloned(),
                csv: source.input.csv.clone(),
                encoding: source.input.encoding,
            })
        };
        Ok(Self {
            each: source.kinds.iter().enumerate().map(decoding).collect::<Result<_>>()?,
            routes,
            looks,
            on_unknown_kind: source.on_unknown_kind,
            names: names.cloned(),
            clear: is_declared_clear(source),
            csv: source.input.csv.clone(),
            encoding: source.input.encoding,
        })
    }

    /// The kinds that a record of a file can be of. `of_file`: the one that the file's path names.
    fn candidates(&self, of_file: Option<usize>) -> impl Iterator<Item = (usize, &Route)> {
        let routes = self.routes.iter().enumerate();
        routes.filter(move |(kind, route)| match of_file {
            Some(of_file) => *kind == of_file,
            None => self.routes.len() == 1 || !route.0.is_empty(),
        })
    }

    /// Finds the kind by the values that are told by a kind and the place of a condition in it.
    pub fn find<'t>(&self, of_file: Option<usize>, value: impl Fn(usize, usize) -> Option<Cow<'t, str>>) -> Found<'t> {
        let holds = |(kind, route): &(usize, &Route)| {
            let mut conditions = route.0.iter().enumerate();
            conditions.all(|(place, (_, values))| {
                let value = value(*kind, place);
                value.is_some_and(|value| values.iter().any(|one| *one == *value))
            })
        };
        let mut found = self.candidates(of_file).filter(holds);
        match (found.next(), found.next()) {
            (Some((kind, _)), None) => Found::Kind(kind),
            (Some((one, _)), Some((other, _))) => Found::Both(one, other),
            (None, _) => {
                let told = self.candidates(of_file).find(|(_, route)| !route.0.is_empty());
                Found::Stray(told.and_then(|(kind, _)| value(kind, 0)))
            }
        }
    }

    /// Whether all records of a file are of one kind, without a look at them.
    pub fn only(&self, of_file: Option<usize>) -> Option<usize> {
        let mut candidates = self.candidates(of_file);
        match (candidates.next(), candidates.next()) {
            (Some((kind, route)), None) if route.0.is_empty() => Some(kind),
            _ => None,
        }
    }

    /// The fault of a record that is of two kinds. Their names stand in the project.
    pub fn both(one: usize, other: usize, source: &Source) -> Reason {
        let name = |kind: usize| source.kinds.get(kind).map_or("", |kind| kind.name.as_str());
        format!("the record is of two kinds, {} and {}", name(one), name(other)).into()
    }

    /// Decodes the records of the chunks, in order. Those that can't be decoded are refused. `files` are the files of
    /// the listing, and `of_files` the kinds that their paths name. `only`: records of other kinds are skipped.
    pub fn decode(
        &self,
        source: &Source,
        chunks: &[Chunk],
        files: &[InputFile],
        of_files: &[Option<usize>],
        only: Option<usize>,
    ) -> Result<Parts> {
        let mut decoding = Parting {
            kinds: self,
            source,
            only,
            skipped: 0,
            parts: self.each.iter().map(|_| None).collect(),
            refused: Vec::new(),
            strays: Strays::new(self.names.as_ref()),
        };
        for chunk in chunks {
            let of_file = of_files.get(chunk.file).copied().flatten();
            decoding.chunk(chunk, &files[chunk.file], of_file);
        }
        decoding.finish()
    }

    fn route<'t>(
        &self,
        record: &'t [u8],
        header: Option<&CsvHeader>,
        of_file: Option<usize>,
    ) -> Result<Found<'t>, Fault> {
        if let Some(kind) = self.only(of_file) {
            return Ok(Found::Kind(kind));
        }
        let (text, damage) = match std::str::from_utf8(record) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.valid_up_to();
                let text = std::str::from_utf8(&record[..valid]).unwrap_or_default();
                (text, Some(whole(valid, no_text(self.encoding))))
            }
        };
        let found = match header {
            Some(header) => self.row(text, header, of_file),
            None => self.document(text, of_file),
        };
        match (found, damage) {
            (Ok(found @ Found::Kind(_)), _) | (Ok(found), None) => Ok(found),
            (_, Some(damage)) => Err(damage),
            (Err(fault), None) => Err(fault),
        }
    }

    fn document<'t>(&self, text: &'t str, of_file: Option<usize>) -> Result<Found<'t>, Fault> {
        let values = self.looks.values(text).map_err(|bad| whole(bad.at, bad.reason))?;
        let value = |kind: usize, place: usize| {
            let (look, _) = self.routes.get(kind)?.0.get(place)?;
            values.get(*look)?.clone()
        };
        let found = self.find(of_file, value);
        if !matches!(found, Found::Kind(_)) {
            check_json(text).map_err(|reason| whole(0, reason))?;
        }
        Ok(found)
    }

    fn row<'t>(&self, text: &'t str, header: &CsvHeader, of_file: Option<usize>) -> Result<Found<'t>, Fault> {
        let cells: Result<Vec<Cow<'t, str>>, Reason> = Cells::new(text, &self.csv).collect();
        let cells = cells.map_err(|reason| whole(0, reason))?;
        let value = |kind: usize, place: usize| {
            let column = header.kinds.get(kind)?.conditions.get(place).copied().flatten()?;
            cells.get(column).filter(|cell| !cell.is_empty()).cloned()
        };
        Ok(self.find(of_file, value))
    }
}

/// Whether some kind declares the field of its condition as no data about anyone: `phi: none`, and not masked.
fn is_declared_clear(source: &Source) -> bool {
    let of_kind = |kind: &Kind| {
        let path = kind
            .conditions
            .first()
            .map(super::super::super::model::Condition::shown);
        let found = path.and_then(|path| subject::find(&kind.schema, &path).ok());
        found.is_some_and(|found| {
            let privacy = &found.field.privacy;
            let unmasked = matches!(privacy.mask, None | Some(MaskKind::Keep));
            !matches!(found.field.field_type, FieldType::Json) && unmasked && privacy.phi == Some(PhiClass::None)
        })
    };
    source.kinds.iter().any(of_kind)
}

fn whole(at: usize, reason: impl Into<Reason>) -> Fault {
    Fault {
        path: Arc::from(WHOLE),
        at,
        check: MALFORMED,
        reason: reason.into(),
    }
}

/// The fault of a record that the scanner has found bad.
fn around(flaw: &Flaw) -> Fault {
    Fault {
        path: Arc::from(flaw.path.as_deref().unwrap_or(WHOLE)),
        check: flaw.check,
        ..whole(0, flaw.reason.clone())
    }
}

impl Kinds {
    /// Whether a value is the name of a kind and no data: a condition of this source names it, or a kind declares the
    /// field with `phi: none` and the value looks like a name.
    pub fn may_show(&self, value: &str) -> bool {
        let mut conditions = self.routes.iter().flat_map(|route| &route.0);
        let named = conditions.any(|(_, values)| values.iter().any(|one| one == value));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        named || (self.clear && value.len() <= LONGEST_NAME && value.bytes().all(plain))
    }
}

/// Some records on their way to the decoders of their kinds.
struct Parting<'a> {
    kinds: &'a Kinds,
    source: &'a Source,
    only: Option<usize>,
    skipped: u64,
    /// By kind. `None`: no record of the kind was met yet.
    parts: Vec<Option<Part<'a>>>,
    refused: Vec<Refusal>,
    strays: Strays<'a>,
}

/// The records of one kind.
struct Part<'a> {
    decoder: Decoder<'a>,
    refused: Vec<Refusal>,
    salvage: Option<Salvage<'a>>,
}

impl Parting<'_> {
    fn chunk(&mut self, chunk: &Chunk, file: &InputFile, of_file: Option<usize>) {
        let header = chunk.header.as_deref();
        for (index, span) in chunk.records.iter().enumerate() {
            let record = chunk.first + index as u64;
            let text = &chunk.bytes[span.range.clone()];
            let id = (chunk.file as u64) << RECORD_BITS | record;
            let refusal = |fault: Fault| Refusal {
                file: Some(file.path.clone()),
                record: Some(record),
                byte_offset: Some(span.offset),
                fault_offset: Some(span.offset + fault.at as u64),
                ..fault.refusal()
            };
            let fault = match (&span.fault, self.kinds.route(text, header, of_file)) {
                (_, Ok(Found::Kind(kind))) if self.only.is_some_and(|only| only != kind) => {
                    self.skipped += 1;
                    continue;
                }
                (flaw, Ok(Found::Kind(kind))) => {
                    let Some(place) = self.parts.get_mut(kind) else {
                        continue;
                    };
                    let decoding = &self.kinds.each[kind];
                    let part = place.get_or_insert_with(|| Part::new(decoding));
                    part.push(flaw.as_ref(), text, header, id, refusal);
                    continue;
                }
                (Some(flaw), _) => around(flaw),
                (None, Ok(Found::Stray(_))) if self.kinds.on_unknown_kind == OnUnknownKind::Fail => Fault {
                    check: UNKNOWN_KIND,
                    ..whole(0, "the record is of no declared kind")
                },
                (None, Ok(Found::Stray(value))) => {
                    let may_show = value.as_deref().is_some_and(|value| self.kinds.may_show(value));
                    self.strays.meet(value.as_deref(), may_show);
                    continue;
                }
                (None, Ok(Found::Both(one, other))) => whole(0, Kinds::both(one, other, self.source)),
                (None, Err(fault)) => fault,
            };
            self.refused.push(refusal(fault));
        }
    }

    fn finish(self) -> Result<Parts> {
        let parts = self.parts.into_iter().flatten();
        Ok(Parts {
            decoded: parts.map(Part::finish).collect::<Result<_>>()?,
            refused: self.refused,
            strays: self.strays.finish(),
            skipped: self.skipped,
        })
    }
}

impl<'a> Part<'a> {
    fn new(decoding: &'a Decoding) -> Self {
        Self {
            decoder: Decoder::new(decoding),
            refused: Vec::new(),
            salvage: None,
        }
    }

    fn push(
        &mut self,
        flaw: Option<&Flaw>,
        text: &[u8],
        header: Option<&CsvHeader>,
        id: u64,
        refusal: impl Fn(Fault) -> Refusal,
    ) {
        let pushed = match flaw {
            Some(flaw) => Err(around(flaw)),
            None => self.decoder.push(text, header, id),
        };
        if let Err(fault) = pushed {
            let decoding = self.decoder.decoding;
            let salvage = self.salvage.get_or_insert_with(|| Salvage::new(decoding));
            salvage.add(text, header, id);
            self.refused.push(refusal(fault));
        }
    }

    fn finish(self) -> Result<Decoded> {
        let kind = self.decoder.decoding.kind;
        let cuts = self.decoder.cuts();
        let (batch, unknown) = self.decoder.finish()?;
        Ok(Decoded {
            kind,
            batch,
            refused: self.refused,
            salvaged: self.salvage.map(Salvage::finish).transpose()?,
            unknown,
            cuts,
        })
    }
}
