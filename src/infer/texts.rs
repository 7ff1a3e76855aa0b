//! What the texts at one place of a sample have in common.

use std::sync::LazyLock;

use regex::Regex;

use super::fhir::Fhir;
use crate::model::time_format::TimeFormat;

/// A way to write a date or a time, and the type that it gives.
pub(super) struct TimeStyle {
    /// `chrono`'s format. `None`: ISO 8601, which needs no `format` in the schema.
    pub format: Option<&'static str>,
    pub field_type: &'static str,
    written: &'static str,
    read: TimeFormat,
}

/// The styles in the order of preference. ISO 8601 comes first. A date whose day and month can't be told apart is read
/// with the month first where it has slashes, with the day first where it has points.
static STYLES: LazyLock<Vec<TimeStyle>> = LazyLock::new(|| {
    [
        (None, "%Y-%m-%d", "date"),
        (None, "%Y-%m-%dT%H:%M:%S%.f", "timestamp"),
        (None, "%+", "timestamptz"),
        (Some("%Y-%m-%d %H:%M:%S%.f"), "%Y-%m-%d %H:%M:%S%.f", "timestamp"),
        (Some("%Y-%m-%dT%H:%M"), "%Y-%m-%dT%H:%M", "timestamp"),
        (Some("%Y-%m-%d %H:%M"), "%Y-%m-%d %H:%M", "timestamp"),
        (Some("%Y%m%d"), "%Y%m%d", "date"),
        (Some("%d.%m.%Y"), "%d.%m.%Y", "date"),
        (Some("%m/%d/%Y"), "%m/%d/%Y", "date"),
        (Some("%d/%m/%Y"), "%d/%m/%Y", "date"),
        (Some("%Y/%m/%d"), "%Y/%m/%d", "date"),
        (Some("%m-%d-%Y"), "%m-%d-%Y", "date"),
        (Some("%d-%m-%Y"), "%d-%m-%Y", "date"),
        (Some("%d-%b-%Y"), "%d-%b-%Y", "date"),
        (Some("%d %b %Y"), "%d %b %Y", "date"),
        (Some("%b %d, %Y"), "%b %d, %Y", "date"),
        (Some("%Y%m%d%H%M%S"), "%Y%m%d%H%M%S", "timestamp"),
        (Some("%Y%m%d%H%M"), "%Y%m%d%H%M", "timestamp"),
        (Some("%d.%m.%Y %H:%M:%S"), "%d.%m.%Y %H:%M:%S", "timestamp"),
        (Some("%d.%m.%Y %H:%M"), "%d.%m.%Y %H:%M", "timestamp"),
        (Some("%m/%d/%Y %H:%M:%S"), "%m/%d/%Y %H:%M:%S", "timestamp"),
        (Some("%m/%d/%Y %H:%M"), "%m/%d/%Y %H:%M", "timestamp"),
        (Some("%Y%m%d%H%M%S%z"), "%Y%m%d%H%M%S%z", "timestamptz"),
        (Some("%Y-%m-%dT%H:%M:%S%.f%z"), "%Y-%m-%dT%H:%M:%S%.f%z", "timestamptz"),
    ]
    .into_iter()
    .filter_map(|(format, written, field_type)| {
        let read = TimeFormat::parse(written)?;
        Some(TimeStyle {
            format,
            field_type,
            written,
            read,
        })
    })
    .collect()
});

impl TimeStyle {
    /// The format as a schema lists it beside others.
    pub fn listed(&self) -> &'static str {
        self.format.unwrap_or(self.written)
    }

    fn fits(&self, text: &str) -> bool {
        match self.field_type {
            "date" => self.read.date(text).is_some(),
            "timestamp" => self.read.timestamp(text).is_some(),
            _ => self.read.instant(text).is_some(),
        }
    }
}

/// Patterns that tell what a value is, whatever its field is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    Email,
    Phone,
    SocialSecurity,
    Zip,
    Url,
}

static LOOKS: LazyLock<Vec<(Looks, Regex)>> = LazyLock::new(|| {
    [
        (Looks::Email, r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"),
        (Looks::SocialSecurity, r"^\d{3}-\d{2}-\d{4}$"),
        (Looks::Zip, r"^\d{5}([- ]\d{4})?$"),
        (Looks::Phone, r"^\+?[\d()][\d() ./x-]{6,18}\d$"),
        (Looks::Url, r"^(https?|ftp)://\S+$"),
    ]
    .into_iter()
    .filter_map(|(looks, pattern)| Some((looks, Regex::new(pattern).ok()?)))
    .collect()
});

/// What is known of the texts of one place. An empty text counts only as empty.
pub(super) struct Texts {
    pub count: u64,
    pub empty: u64,
    /// Texts of at least [`LONG`] characters without white space, such as documents in base64.
    pub blobs: u64,
    pub words: u64,
    /// A bit for each style that fits all texts so far.
    styles: u32,
    /// A bit for each style that fits at least one text.
    some: u32,
    /// Whether each text fits some style.
    all_times: bool,
    looks: u8,
    still: Still,
    parts: Parts,
    pub fhir: Fhir,
    pub int_digits: usize,
    pub scale: usize,
}

/// How many texts are dates of ISO 8601 of each precision. They count as long as all texts are such.
#[derive(Clone, Copy, Default)]
struct Parts {
    years: u64,
    months: u64,
    days: u64,
    moments: u64,
    others: u64,
}

/// What all texts so far could be.
struct Still {
    ints: bool,
    decimals: bool,
    bools: bool,
}

/// From this length on, a text without white space is a document, not a word.
const LONG: usize = 200;

impl Default for Texts {
    fn default() -> Self {
        Self {
            count: 0,
            empty: 0,
            blobs: 0,
            words: 0,
            styles: u32::MAX,
            some: 0,
            all_times: true,
            looks: u8::MAX,
            still: Still {
                ints: true,
                decimals: true,
                bools: true,
            },
            parts: Parts::default(),
            fhir: Fhir::default(),
            int_digits: 0,
            scale: 0,
        }
    }
}

impl Texts {
    /// Adds what is known of other texts of the same place.
    pub fn absorb(&mut self, other: &Self) {
        self.count += other.count;
        self.empty += other.empty;
        self.blobs += other.blobs;
        self.words += other.words;
        self.styles &= other.styles;
        self.some |= other.some;
        self.all_times &= other.all_times;
        self.looks &= other.looks;
        self.still.ints &= other.still.ints;
        self.still.decimals &= other.still.decimals;
        self.still.bools &= other.still.bools;
        self.fhir.absorb(&other.fhir);
        self.parts.years += other.parts.years;
        self.parts.months += other.parts.months;
        self.parts.days += other.parts.days;
        self.parts.moments += other.parts.moments;
        self.parts.others += other.parts.others;
        self.int_digits = self.int_digits.max(other.int_digits);
        self.scale = self.scale.max(other.scale);
    }

    pub fn add(&mut self, text: &str) {
        self.count += 1;
        if text.is_empty() {
            self.empty += 1;
            return;
        }
        self.words += text.split_whitespace().count() as u64;
        self.blobs += u64::from(text.len() >= LONG && !text.contains(char::is_whitespace));
        self.times(text);
        self.part(text);
        self.fhir.add(text);
        for (bit, (_, pattern)) in LOOKS.iter().enumerate() {
            if self.looks & (1 << bit) != 0 && !pattern.is_match(text) {
                self.looks &= !(1 << bit);
            }
        }
        self.number(text);
        self.still.bools &= matches!(text, "true" | "false");
    }

    /// Looks for the styles that fit. Most texts are no times, and the first of them ends the search.
    fn times(&mut self, text: &str) {
        if !self.all_times {
            return;
        }
        let fits = if text.len() > 40 || !text.bytes().any(|byte| byte.is_ascii_digit()) {
            0
        } else {
            let fitting = STYLES.iter().enumerate().filter(|(_, style)| style.fits(text));
            fitting.fold(0, |bits, (bit, _)| bits | 1 << bit)
        };
        self.styles &= fits;
        self.some |= fits;
        self.all_times &= fits != 0;
    }

    /// Looks how much of a date is known, as FHIR writes it: `1970`, `1970-03`, a day, or a moment with its offset.
    fn part(&mut self, text: &str) {
        if self.parts.others > 0 {
            return;
        }
        let fits = |text: &str, style: usize| STYLES.get(style).is_some_and(|style| style.fits(text));
        let parts = &mut self.parts;
        match text.len() {
            4 if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') => parts.years += 1,
            7 if text.as_bytes()[4] == b'-' && fits(&format!("{text}-01"), 0) => parts.months += 1,
            10 if fits(text, 0) => parts.days += 1,
            16.. if fits(text, 2) => parts.moments += 1,
            // Without seconds.
            17.. if text.is_char_boundary(16) && fits(&format!("{}:00{}", &text[..16], &text[16..]), 2) => {
                parts.moments += 1;
            }
            _ => parts.others += 1,
        }
    }

    fn number(&mut self, text: &str) {
        if !self.still.decimals {
            return;
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, after) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        // A leading zero belongs to a code, not to a number.
        let plain = !whole.is_empty() && (whole == "0" || !whole.starts_with('0')) && whole.len() <= 18;
        self.still.decimals &= plain && are_digits(whole) && are_digits(after) && !unsigned.ends_with('.');
        self.still.ints &= self.still.decimals && after.is_empty();
        self.int_digits = self.int_digits.max(whole.len());
        self.scale = self.scale.max(after.len());
    }

    /// Texts that are not empty.
    pub fn full(&self) -> u64 {
        self.count - self.empty
    }

    /// The styles of dates and times in which all texts are written. More than one: each text has one of them.
    pub fn styles(&self) -> Vec<&'static TimeStyle> {
        if self.full() == 0 || !self.all_times {
            return Vec::new();
        }
        let of = |bits: u32| {
            STYLES
                .iter()
                .enumerate()
                .filter(move |(bit, _)| bits & (1 << bit) != 0)
                .map(|(_, s)| s)
        };
        if let Some(one) = of(self.styles).next() {
            return vec![one];
        }
        let styles: Vec<_> = of(self.some).collect();
        let same = styles.iter().all(|style| style.field_type == styles[0].field_type);
        // RFC 3339 has no format to be listed beside others.
        if same && styles.iter().all(|style| style.written != "%+") {
            styles
        } else {
            Vec::new()
        }
    }

    /// Whether all texts are written in one of these formats; none stands for ISO 8601. `None`: that is not known.
    pub fn fit(&self, formats: &[String], field_type: &str) -> Option<bool> {
        let of = |style: &TimeStyle| match formats {
            // ISO 8601 may leave out the seconds, or the colon of the offset.
            [] => style.field_type == field_type && (style.format.is_none() || style.written.contains("-%dT%H:%M")),
            formats => formats.iter().any(|format| format == style.written),
        };
        let known = |format: &String| STYLES.iter().any(|style| style.written == format);
        if !formats.iter().all(known) {
            return None;
        }
        let bits = STYLES.iter().enumerate().filter(|(_, style)| of(style));
        let bits = bits.fold(0, |bits, (bit, _)| bits | 1 << bit);
        let all = self.all_times && (self.styles & bits != 0 || self.some & !bits == 0);
        // Some styles read the same text: each of the texts may be in one of the declared.
        let may = self.all_times && self.some & bits != 0 && self.styles == 0;
        match (all || self.full() == 0, may) {
            (true, _) => Some(true),
            (false, true) if formats.len() > 1 => None,
            _ => Some(false),
        }
    }

    /// The type of partial dates or times that all texts are, where some of them lack a part that others have.
    pub fn partial(&self) -> Option<&'static str> {
        let Parts {
            years,
            months,
            days,
            moments,
            others,
        } = self.parts;
        let precisions = [years, months, days, moments]
            .iter()
            .filter(|count| **count > 0)
            .count();
        // Years alone are more likely numbers.
        if others > 0 || precisions == 0 || precisions == 1 && months == 0 {
            return None;
        }
        Some(if moments > 0 { "timestamptz" } else { "date" })
    }

    /// Whether day and month can't be told apart in the sample.
    pub fn ambiguous(&self) -> bool {
        let formats: Vec<_> = STYLES
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.all_times && self.styles & (1 << bit) != 0)
            .filter_map(|(_, style)| style.format)
            .collect();
        formats.iter().any(|format| format.starts_with("%m")) && formats.iter().any(|format| format.starts_with("%d"))
    }

    pub fn all_look_like(&self) -> Option<Looks> {
        let mut fitting = LOOKS.iter().enumerate().filter(|(bit, _)| self.looks & (1 << bit) != 0);
        fitting.next().filter(|_| self.full() > 0).map(|(_, (looks, _))| *looks)
    }

    /// The type of numbers that all texts are: `int`, `bigint` or a decimal.
    pub fn numbers(&self) -> Option<&'static str> {
        if self.full() == 0 || !self.still.decimals {
            return None;
        }
        Some(match self.still.ints {
            true if self.int_digits <= 9 => "int",
            true => "bigint",
            false => "decimal",
        })
    }

    pub fn all_bools(&self) -> bool {
        self.full() > 0 && self.still.bools
    }

    /// Whether somebody wrote these texts freely: on average at least five words.
    pub fn are_prose(&self) -> bool {
        self.full() > 0 && self.words >= 5 * self.full()
    }

    pub fn are_blobs(&self) -> bool {
        self.full() > 0 && 2 * self.blobs >= self.full()
    }
}
