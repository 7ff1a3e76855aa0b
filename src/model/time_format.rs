//! A declared format of dates and times, read to the letter. The formats are chrono's; its parser is not used, since it
//! skips white space, takes years of one digit and signs, and so reads a text by a format that did not write it.
//!
//! A number has exactly as many digits as its format writes. Where it stands between separators, day, month, hour, week
//! and day of the year may lack their leading zeros. A year (`%Y`) has four digits and is 0001 or later.

use std::iter::once;

use chrono::format::{Fixed, Item, Numeric, Pad, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime};

mod partial;

const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

#[derive(Debug)]
pub(crate) struct TimeFormat(Vec<Step>);

#[derive(Debug)]
enum Step {
    Text(Box<str>),
    Number(Number),
    /// A name of a month or a weekday, or am and pm: in any case, as chrono reads it.
    Name(Fixed),
    /// `%.f`, and with a number of digits `%.3f`; both may be missing.
    Fraction(Option<usize>),
    /// `%3f`.
    Digits(usize),
    Offset(Offset),
    /// `%Z`: any word, which says nothing.
    Zone,
    /// The `T` of RFC 3339, which allows `t` and a space.
    Separator,
}

#[derive(Debug)]
struct Number {
    numeric: Numeric,
    least: usize,
    most: usize,
    /// Spaces in place of leading zeros.
    padded: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Offset {
    zulu: bool,
    hours_suffice: bool,
    seconds: bool,
}

impl TimeFormat {
    /// `None` if chrono knows no such format.
    pub fn parse(format: &str) -> Option<Self> {
        let items = StrftimeItems::new(format).parse_to_owned().ok()?;
        let mut steps = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| items.get(before));
            let apart = !before.is_some_and(ends_in_digit) && !items.get(index + 1).is_some_and(begins_with_digit);
            match item {
                Item::Literal(text) | Item::Space(text) => steps.push(Step::Text((*text).into())),
                Item::OwnedLiteral(text) | Item::OwnedSpace(text) => steps.push(Step::Text(text.clone())),
                Item::Numeric(numeric, pad) => steps.push(Step::Number(Number::new(numeric, *pad, apart))),
                Item::Fixed(Fixed::RFC3339) => steps.extend(rfc3339()),
                Item::Fixed(fixed) => steps.push(fixed_step(fixed)?),
                Item::Error => return None,
            }
        }
        Some(Self(steps))
    }

    pub fn has_offset(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Offset(_)))
    }

    /// `%Z`, whose names say nothing that can be read.
    pub fn has_zone_name(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Zone))
    }

    fn has_time(&self) -> bool {
        self.0.iter().any(|step| match step {
            Step::Fraction(_) | Step::Digits(_) | Step::Name(Fixed::LowerAmPm | Fixed::UpperAmPm) => true,
            Step::Number(number) => matches!(
                number.numeric,
                Numeric::Hour
                    | Numeric::Hour12
                    | Numeric::Minute
                    | Numeric::Second
                    | Numeric::Nanosecond
                    | Numeric::Timestamp
            ),
            _ => false,
        })
    }

    /// The day as written, whatever time and offset stand beside it.
    pub fn date(&self, text: &str) -> Option<NaiveDate> {
        let date = self.read(text)?.to_naive_date().ok()?;
        YEARS.contains(&date.year()).then_some(date)
    }

    /// The time as written, without its offset; in UTC where it is written as seconds since 1970.
    pub fn timestamp(&self, text: &str) -> Option<NaiveDateTime> {
        let time = self.read(text)?.to_naive_datetime_with_offset(0).ok()?;
        YEARS.contains(&time.year()).then_some(time)
    }

    pub fn instant(&self, text: &str) -> Option<DateTime<FixedOffset>> {
        let time = self.read(text)?.to_datetime().ok()?;
        YEARS.contains(&time.year()).then_some(time)
    }

    /// A local time: the format has no offset.
    pub fn local(&self, text: &str) -> Option<NaiveDateTime> {
        if self.has_offset() { None } else { self.timestamp(text) }
    }

    /// In UTC where the format has an offset; the start of the day where it has no time of day.
    pub fn utc_timestamp(&self, text: &str) -> Option<NaiveDateTime> {
        if self.has_offset() {
            Some(self.instant(text)?.naive_utc())
        } else if self.has_time() {
            self.timestamp(text)
        } else {
            self.date(text)?.and_hms_opt(0, 0, 0)
        }
    }

    fn read(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        let rest = self
            .0
            .iter()
            .try_fold(text, |text, step| step.read(text, &mut parsed))?;
        rest.is_empty().then_some(parsed)
    }
}

impl Step {
    /// What follows in the text.
    fn read<'t>(&self, text: &'t str, parsed: &mut Parsed) -> Option<&'t str> {
        match self {
            Self::Text(literal) => text.strip_prefix(&**literal),
            Self::Number(number) => number.read(text, parsed),
            Self::Name(fixed) => {
                let item = Item::Fixed(fixed.clone());
                parse_and_remainder(parsed, text, once(&item)).ok()
            }
            Self::Fraction(exactly) => {
                let Some(fraction) = text.strip_prefix('.') else {
                    return Some(text);
                };
                let digits = exactly.unwrap_or_else(|| count_digits(fraction));
                read_fraction(fraction, digits, parsed)
            }
            Self::Digits(digits) => read_fraction(text, *digits, parsed),
            Self::Offset(offset) => offset.read(text, parsed),
            Self::Zone => {
                let rest = text.trim_start_matches(|char: char| !char.is_whitespace());
                (rest.len() < text.len()).then_some(rest)
            }
            Self::Separator => text.strip_prefix(['T', 't', ' ']),
        }
    }
}

impl Number {
    /// `apart`: no digit of the format is its neighbour.
    fn new(numeric: &Numeric, pad: Pad, apart: bool) -> Self {
        use Numeric as N;
        let (digits, may_be_short) = match numeric {
            N::Year | N::IsoYear => (4, false),
            N::Month | N::Day | N::Hour | N::Hour12 | N::WeekFromSun | N::WeekFromMon | N::IsoWeek => (2, apart),
            N::Ordinal => (3, apart),
            N::Quarter | N::NumDaysFromSun | N::WeekdayFromMon => (1, false),
            N::Nanosecond => (9, false),
            N::Timestamp => (18, true),
            _ => (2, apart && pad == Pad::None),
        };
        Self {
            numeric: numeric.clone(),
            least: if may_be_short { 1 } else { digits },
            most: digits,
            padded: pad == Pad::Space && !matches!(numeric, N::Year | N::IsoYear),
        }
    }

    fn read<'t>(&self, text: &'t str, parsed: &mut Parsed) -> Option<&'t str> {
        if self.numeric == Numeric::Timestamp
            && let Some(digits) = text.strip_prefix('-')
        {
            let (value, rest) = number(digits, 1, self.most)?;
            return parsed.set_timestamp(-value).ok().map(|()| rest);
        }
        let spaces = text.bytes().take_while(|byte| *byte == b' ').count();
        let (value, rest) = if self.padded && spaces > 0 && spaces < self.most {
            number(&text[spaces..], self.most - spaces, self.most - spaces)?
        } else {
            number(text, self.least, self.most)?
        };
        self.set(parsed, value)?;
        Some(rest)
    }

    fn set(&self, parsed: &mut Parsed, value: i64) -> Option<()> {
        use chrono::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        let day = |days: [chrono::Weekday; 7], index: i64| days.get(usize::try_from(index).ok()?).copied();
        let set = match self.numeric {
            Numeric::Year => parsed.set_year(value),
            Numeric::YearDiv100 => parsed.set_year_div_100(value),
            Numeric::YearMod100 => parsed.set_year_mod_100(value),
            Numeric::IsoYear => parsed.set_isoyear(value),
            Numeric::IsoYearDiv100 => parsed.set_isoyear_div_100(value),
            Numeric::IsoYearMod100 => parsed.set_isoyear_mod_100(value),
            Numeric::Quarter => parsed.set_quarter(value),
            Numeric::Month => parsed.set_month(value),
            Numeric::Day => parsed.set_day(value),
            Numeric::WeekFromSun => parsed.set_week_from_sun(value),
            Numeric::WeekFromMon => parsed.set_week_from_mon(value),
            Numeric::IsoWeek => parsed.set_isoweek(value),
            Numeric::NumDaysFromSun => parsed.set_weekday(day([Sun, Mon, Tue, Wed, Thu, Fri, Sat], value)?),
            Numeric::WeekdayFromMon => parsed.set_weekday(day([Mon, Tue, Wed, Thu, Fri, Sat, Sun], value - 1)?),
            Numeric::Ordinal => parsed.set_ordinal(value),
            Numeric::Hour => parsed.set_hour(value),
            Numeric::Hour12 => parsed.set_hour12(value),
            Numeric::Minute => parsed.set_minute(value),
            Numeric::Second => parsed.set_second(value),
            Numeric::Nanosecond => parsed.set_nanosecond(value),
            Numeric::Timestamp => parsed.set_timestamp(value),
            _ => return None,
        };
        set.ok()
    }
}

impl Offset {
    /// `+02:00` with the colon or without.
    fn read<'t>(self, text: &'t str, parsed: &mut Parsed) -> Option<&'t str> {
        if self.zulu
            && let Some(rest) = text.strip_prefix(['Z', 'z'])
        {
            return parsed.set_offset(0).ok().map(|()| rest);
        }
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let (hours, rest) = number(text.strip_prefix(['+', '-'])?, 2, 2)?;
        let after_colon = |rest: &'t str| number(rest.strip_prefix(':').unwrap_or(rest), 2, 2);
        let (minutes, rest) = match after_colon(rest) {
            None if self.hours_suffice => (0, rest),
            found => found?,
        };
        let (seconds, rest) = if self.seconds { after_colon(rest)? } else { (0, rest) };
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let offset = sign * (hours * 3600 + minutes * 60 + seconds);
        parsed.set_offset(offset).ok().map(|()| rest)
    }
}

/// `%+`.
fn rfc3339() -> impl Iterator<Item = Step> {
    let number = |numeric| Step::Number(Number::new(&numeric, Pad::Zero, false));
    let text = |text: &str| Step::Text(text.into());
    [
        number(Numeric::Year),
        text("-"),
        number(Numeric::Month),
        text("-"),
        number(Numeric::Day),
        Step::Separator,
        number(Numeric::Hour),
        text(":"),
        number(Numeric::Minute),
        text(":"),
        number(Numeric::Second),
        Step::Fraction(None),
        Step::Offset(Offset {
            zulu: true,
            ..Offset::default()
        }),
    ]
    .into_iter()
}

fn fixed_step(fixed: &Fixed) -> Option<Step> {
    Some(match fixed {
        Fixed::Nanosecond => Step::Fraction(None),
        Fixed::Nanosecond3 => Step::Fraction(Some(3)),
        Fixed::Nanosecond6 => Step::Fraction(Some(6)),
        Fixed::Nanosecond9 => Step::Fraction(Some(9)),
        Fixed::TimezoneName => Step::Zone,
        Fixed::TimezoneOffset | Fixed::TimezoneOffsetColon => Step::Offset(Offset::default()),
        Fixed::TimezoneOffsetDoubleColon => Step::Offset(Offset {
            seconds: true,
            ..Offset::default()
        }),
        Fixed::TimezoneOffsetTripleColon => Step::Offset(Offset {
            hours_suffice: true,
            ..Offset::default()
        }),
        Fixed::TimezoneOffsetColonZ | Fixed::TimezoneOffsetZ => Step::Offset(Offset {
            zulu: true,
            ..Offset::default()
        }),
        // chrono does not show what these are.
        Fixed::Internal(_) => match ["%3f", "%6f", "%9f"].iter().position(|format| is(fixed, format)) {
            Some(nth) => Step::Digits(3 * (nth + 1)),
            None if is(fixed, "%#z") => Step::Offset(Offset {
                zulu: true,
                hours_suffice: true,
                ..Offset::default()
            }),
            None => return None,
        },
        Fixed::RFC2822 | Fixed::RFC3339 => return None,
        name => Step::Name(name.clone()),
    })
}

fn is(fixed: &Fixed, format: &str) -> bool {
    StrftimeItems::new(format).next() == Some(Item::Fixed(fixed.clone()))
}

fn begins_with_digit(item: &Item<'_>) -> bool {
    match item {
        Item::Literal(text) => text.starts_with(|char: char| char.is_ascii_digit()),
        Item::OwnedLiteral(text) => text.starts_with(|char: char| char.is_ascii_digit()),
        Item::Numeric(..) => true,
        Item::Fixed(fixed) => matches!(fixed, Fixed::RFC3339 | Fixed::Internal(_)) && !is(fixed, "%#z"),
        _ => false,
    }
}

fn ends_in_digit(item: &Item<'_>) -> bool {
    match item {
        Item::Literal(text) => text.ends_with(|char: char| char.is_ascii_digit()),
        Item::OwnedLiteral(text) => text.ends_with(|char: char| char.is_ascii_digit()),
        Item::Fixed(
            Fixed::ShortMonthName
            | Fixed::LongMonthName
            | Fixed::ShortWeekdayName
            | Fixed::LongWeekdayName
            | Fixed::LowerAmPm
            | Fixed::UpperAmPm
            | Fixed::TimezoneName,
        ) => false,
        Item::Numeric(..) | Item::Fixed(_) => true,
        _ => false,
    }
}

fn count_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// `least` to `most` digits, at most 18.
fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let digits = count_digits(text).min(most);
    if digits < least {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    Some((digits.parse().ok()?, rest))
}

/// Digits after the point of a second. Those beyond nanoseconds leave no more than the mark that there was something.
fn read_fraction<'t>(text: &'t str, digits: usize, parsed: &mut Parsed) -> Option<&'t str> {
    if digits == 0 || count_digits(text) < digits {
        return None;
    }
    let (digits, rest) = text.split_at(digits);
    parsed.set_nanosecond(nanoseconds(digits).into()).ok()?;
    Some(rest)
}

/// Of the digits after the point. Those beyond nanoseconds are as fine as one nanosecond, unless they are zero.
pub(super) fn nanoseconds(digits: &str) -> u32 {
    let padded = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = padded.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    let finer = digits.bytes().skip(9).any(|digit| digit != b'0');
    nanos + u32::from(finer && nanos.is_multiple_of(1000))
}

#[cfg(test)]
mod tests;
