//! Invents a record like a given one, for a test case: the same fields, lists and lengths, and every value anew. Beside
//! the masks, this is the only code that reads unmasked values. It returns none of them.
//!
//! What is kept of a value: its type and sign, how many digits and letters a text has and where, and the format of a
//! date. Values that are equal in the record stay equal. Texts of several words become a fixed sentence, and so does
//! free text, since the lengths of its words would tell of it.

mod values;

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::UInt64Type;
use chrono::{Days, NaiveDate};
use rand::Rng as _;
use serde_json::{Map, Value};

use self::values::{TRIES, as_sent, as_text, digits, is_prose, like, number, number_text, pick};
use super::batch::Unmasked;
use crate::error::{Error, Result};
use crate::model::scalar_field::{NOTHING, element_privacy};
use crate::model::{Field, FieldType, From, Literal, PhiClass, Precision, Privacy, Source, ValueRules, scalar};

/// The text that stands in place of free text.
const SENTENCE: &str = "An invented note of no meaning";

/// Formats of dates and times that texts are searched for.
const DATE_FORMATS: [&str; 6] = ["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d"];
const TIME_FORMATS: [&str; 3] = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S"];

impl Unmasked {
    /// Invents a record like the one with this value of [`crate::model::RECORD_COLUMN`]. Invented dates lie in
    /// the year before `date`. `None`: the batch does not hold the record.
    ///
    /// # Errors
    /// A batch that was not decoded as the source declares.
    pub fn invent(&self, record: u64, source: &Source, date: NaiveDate) -> Result<Option<Value>> {
        let ids = self
            .batch
            .columns()
            .last()
            .and_then(|ids| ids.as_primitive_opt::<UInt64Type>());
        let ids = ids.ok_or_else(Error::internal)?;
        let Some(row) = ids.values().iter().position(|id| *id == record) else {
            return Ok(None);
        };
        let sql: Vec<&str> = source
            .transforms
            .iter()
            .map(|transform| transform.sql.as_str())
            .collect();
        let mut invention = Invention {
            date,
            sql,
            known: HashMap::new(),
        };
        let mut object = Map::new();
        let kind = source.kinds.get(self.kind).ok_or_else(Error::internal)?;
        for (field, column) in kind.schema.iter().zip(self.batch.columns()) {
            if let Some(value) = invention.field(field, column, row, &NOTHING) {
                object.insert(field.name.clone(), value);
            }
        }
        // What makes it a record of its kind stands in the project, so it is no data.
        for condition in &kind.conditions {
            if let Some(value) = condition.values.first() {
                put(&mut object, &condition.path, value);
            }
        }
        Ok(Some(Value::Object(object)))
    }
}

/// Puts a text at a path, through objects.
fn put(object: &mut Map<String, Value>, path: &[String], text: &str) {
    let [name, inside @ ..] = path else { return };
    if inside.is_empty() {
        object.insert(name.clone(), Value::from(text));
    } else if let Value::Object(inner) = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())) {
        put(inner, inside, text);
    }
}

/// The values that were invented for one record.
struct Invention<'a> {
    date: NaiveDate,
    sql: Vec<&'a str>,
    /// The invented value of each original, so that equal values stay equal.
    known: HashMap<String, Value>,
}

impl Invention<'_> {
    /// The value of a field. `None`: it is null or absent.
    fn field(&mut self, field: &Field, array: &ArrayRef, row: usize, list: &Privacy) -> Option<Value> {
        if array.is_null(row) {
            return None;
        }
        let privacy = element_privacy(field, list);
        match &field.field_type {
            FieldType::Struct(children) => {
                let columns = array.as_struct_opt()?.columns();
                let mut object = Map::new();
                for (child, column) in children.iter().zip(columns) {
                    if let Some(value) = self.field(child, column, row, &NOTHING) {
                        object.insert(child.name.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
            FieldType::List(element) => {
                let elements = array.as_list_opt::<i32>()?.value(row);
                let value = |at| self.field(element, &elements, at, privacy).unwrap_or(Value::Null);
                Some((0..elements.len()).map(value).collect())
            }
            FieldType::Json => {
                let json = serde_json::from_str(array.as_string_opt::<i32>()?.value(row)).ok()?;
                Some(self.json(&json))
            }
            FieldType::Bool => {
                let value = rand::rng().random::<bool>();
                Some(as_sent(value.to_string(), Value::Bool(value), field.from))
            }
            FieldType::Date(_) | FieldType::Timestamp(_) | FieldType::TimestampTz(_) => {
                // The time is not kept, only which of the record's times are equal.
                let original = arrow::util::display::array_value_to_string(array, row).ok()?;
                Some(self.once(&original, |this| Value::from(this.moment(field))))
            }
            FieldType::Partial(whole) => {
                let precisions = array.as_struct_opt()?.columns().get(1)?;
                let precision = Precision::named(precisions.as_string_opt::<i32>()?.value(row))?;
                let original = arrow::util::display::array_value_to_string(array, row).ok()?;
                Some(self.once(&original, |this| Value::from(this.partial(whole, precision))))
            }
            FieldType::Reference(_) => self.reference(array, row).map(Value::from),
            FieldType::String => {
                let original = array.as_string_opt::<i32>()?.value(row).to_owned();
                let value = self.once(&original, |this| {
                    Value::from(this.text(&original, privacy, &field.rules))
                });
                let value = as_text(value);
                let number = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
                match (field.from, number) {
                    (Some(From::Number), Some(number)) if number.is_number() => Some(number),
                    _ => Some(value),
                }
            }
            FieldType::Int | FieldType::Bigint | FieldType::Double | FieldType::Decimal(..) => {
                let original = number_text(array, row)?;
                let value = self.number(&original, |_| number(&original, field));
                Some(as_sent(value.to_string(), value, field.from))
            }
        }
    }

    /// A reference to a resource of the same type, whose id was invented.
    fn reference(&mut self, array: &ArrayRef, row: usize) -> Option<String> {
        let parts = array.as_struct_opt()?.columns();
        let part = |at: usize| {
            let texts = parts.get(at)?.as_string_opt::<i32>()?;
            texts.is_valid(row).then(|| texts.value(row))
        };
        let to = part(0);
        if let Some(contained) = part(2) {
            return Some(format!("#{}", self.id(contained)));
        }
        if let Some(query) = part(3) {
            return Some(format!("{}?{}", to?, self.id(query)));
        }
        let id = part(1)?;
        // The id of a resource on another server is its URL.
        let (server, id) = match id.rsplit_once('/') {
            Some((_, id)) => ("https://server.example/fhir/", id),
            None => ("", id),
        };
        let invented = self.id(id);
        Some(match to {
            Some(to) => format!("{server}{to}/{invented}"),
            None if id.contains('-') => format!("urn:uuid:{invented}"),
            None => format!("urn:oid:{invented}"),
        })
    }

    /// An id of the same shape. It is the one that stands in the record's other fields for the same id.
    fn id(&mut self, original: &str) -> String {
        let invented = self.once(original, |_| Value::from(like(original)));
        let fits = invented
            .as_str()
            .filter(|text| text.chars().count() == original.chars().count());
        fits.map_or_else(|| like(original), str::to_owned)
    }

    /// The value that was invented for an original, or a new one.
    fn once(&mut self, original: &str, invent: impl FnOnce(&mut Self) -> Value) -> Value {
        if let Some(known) = self.known.get(original) {
            return known.clone();
        }
        let value = invent(self);
        self.known.insert(original.to_owned(), value.clone());
        value
    }

    /// The number that was invented for an original, or a new one where that was a text.
    fn number(&mut self, original: &str, invent: impl FnOnce(&mut Self) -> Value) -> Value {
        match self.known.get(original) {
            Some(known) if known.is_number() => known.clone(),
            Some(_) => invent(self),
            None => self.once(original, invent),
        }
    }

    fn text(&mut self, original: &str, privacy: &Privacy, rules: &ValueRules) -> String {
        if let Some(Literal::Text(text)) = pick(&rules.accepted_values) {
            return text.clone();
        }
        let fits = |text: &str| {
            let length = text.chars().count() as u64;
            rules.matches.as_ref().is_none_or(|pattern| pattern.is_match(text))
                && rules.length.as_ref().is_none_or(|bounds| bounds.hold(&length))
        };
        if privacy.phi == Some(PhiClass::FreeText) || is_prose(original) {
            let most = rules.length.as_ref().and_then(|bounds| bounds.max);
            let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
            return SENTENCE.chars().take(most).collect();
        }
        if let Some(moment) = self.moment_like(original) {
            return moment;
        }
        let mut text = like(original);
        for _ in 0..TRIES {
            if fits(&text) && (text != original || !original.chars().any(char::is_alphanumeric)) {
                break;
            }
            text = like(original);
        }
        text
    }

    /// A date or time in the format of the original, if it is one.
    fn moment_like(&self, original: &str) -> Option<String> {
        let plausible = |day: &NaiveDate| (1850..=2150).contains(&chrono::Datelike::year(day));
        for format in DATE_FORMATS {
            if NaiveDate::parse_from_str(original, format).is_ok_and(|day| plausible(&day)) {
                return Some(self.day().format(format).to_string());
            }
        }
        let is_time = |format: &&&str| chrono::NaiveDateTime::parse_from_str(original, format).is_ok();
        TIME_FORMATS
            .iter()
            .find(is_time)
            .map(|format| self.time().format(format).to_string())
    }

    /// A day in the year before the date.
    fn day(&self) -> NaiveDate {
        let days = rand::rng().random_range(0..365);
        self.date.checked_sub_days(Days::new(days)).unwrap_or(self.date)
    }

    fn time(&self) -> chrono::NaiveDateTime {
        let mut rng = rand::rng();
        let (hour, minute) = (rng.random_range(0..24), rng.random_range(0..60));
        self.day().and_hms_opt(hour, minute, 0).unwrap_or_default()
    }

    /// A value for a field with a date or time type, in the field's first format.
    fn moment(&self, field: &Field) -> String {
        let (formats, default) = match &field.field_type {
            FieldType::Date(formats) => (formats, "%Y-%m-%d"),
            FieldType::Timestamp(formats) => (formats, "%Y-%m-%dT%H:%M:%S"),
            FieldType::TimestampTz(formats) => (formats, "%Y-%m-%dT%H:%M:%SZ"),
            _ => return String::new(),
        };
        let format = formats.first().map_or(default, String::as_str);
        self.time().and_utc().format(format).to_string()
    }

    /// A date or time of which as much is known. Where no format of the field says so much, it is in the first.
    fn partial(&self, whole: &FieldType, precision: Precision) -> String {
        let time = self.time().and_utc();
        let (formats, zone) = match whole {
            FieldType::Date(formats) | FieldType::Timestamp(formats) => (formats, ""),
            FieldType::TimestampTz(formats) => (formats, "Z"),
            _ => return String::new(),
        };
        if formats.is_empty() {
            let (iso, zone) = match precision {
                Precision::Year => ("%Y", ""),
                Precision::Month => ("%Y-%m", ""),
                Precision::Day => ("%Y-%m-%d", ""),
                Precision::Minute => ("%Y-%m-%dT%H:%M", zone),
                Precision::Second => ("%Y-%m-%dT%H:%M:%S", zone),
            };
            return format!("{}{zone}", time.format(iso));
        }
        let written = |format: &String| time.format(format).to_string();
        let says = |format: &String| {
            let text = written(format);
            let format = scalar::Formats::parse(std::slice::from_ref(format)).ok()?;
            match whole {
                FieldType::Date(_) => Some(scalar::partial_date(&text, &format).ok()?.1),
                FieldType::Timestamp(_) => Some(scalar::partial_timestamp(&text, &format).ok()?.1),
                _ => Some(scalar::partial_timestamptz(&text, &format).ok()?.1),
            }
        };
        let format = formats.iter().find(|format| says(format) == Some(precision));
        format.or(formats.first()).map(written).unwrap_or_default()
    }

    /// JSON of the same shape. A name that the SQL mentions is kept. Any other name may be data.
    fn json(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut object = Map::new();
                for (name, value) in fields {
                    let value = self.json(value);
                    let known = self.sql.iter().any(|sql| sql.contains(&format!("'{name}'")));
                    let name = if known { name.clone() } else { like(name) };
                    object.insert(name, value);
                }
                Value::Object(object)
            }
            Value::Array(elements) => elements.iter().map(|element| self.json(element)).collect(),
            Value::String(text) => as_text(self.once(text, |this| {
                Value::from(this.text(text, &NOTHING, &ValueRules::default()))
            })),
            Value::Number(number) => {
                let original = number.to_string();
                let mut text = digits(&original);
                for _ in 0..TRIES {
                    if text != original {
                        break;
                    }
                    text = digits(&original);
                }
                serde_json::from_str(&text).unwrap_or(Value::from(0))
            }
            Value::Bool(_) => Value::Bool(rand::rng().random()),
            Value::Null => Value::Null,
        }
    }
}
