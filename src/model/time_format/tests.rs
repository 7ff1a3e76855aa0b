use chrono::{NaiveTime, TimeDelta, Timelike};
use proptest::prelude::*;

use super::*;

fn date(text: &str, format: &str) -> Option<NaiveDate> {
    TimeFormat::parse(format).unwrap().date(text)
}

fn day(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

#[test]
fn years_have_four_digits_and_begin_with_the_first() {
    assert_eq!(date("01.05.2023", "%d.%m.%Y"), day(2023, 5, 1));
    assert_eq!(date("01.05.0001", "%d.%m.%Y"), day(1, 5, 1));
    for text in [
        "01.05.23",
        "1.5.123",
        "01.01.0000",
        "01.05.-44",
        "01.05.-0044",
        "01.05.+12023",
        "01.05.+2023",
        "01.05.12023",
    ] {
        assert_eq!(date(text, "%d.%m.%Y"), None, "{text}");
    }
    for format in ["%-d.%-m.%-Y", "%d.%m.%_Y"] {
        assert_eq!(date("1.5.23", format), None, "{format}");
        assert_eq!(date("01.05.  23", format), None, "{format}");
    }
    assert_eq!(date("23-W18-1", "%G-W%V-%u"), None);
    assert_eq!(date("2023-W18-1", "%G-W%V-%u"), day(2023, 5, 1));
}

#[test]
fn numbers_without_separators_have_their_width() {
    assert_eq!(date("05012023", "%m%d%Y"), day(2023, 5, 1));
    for text in [
        "5012023",
        "1012023",
        "1112023",
        "050123",
        "005012023",
        " 5012023",
        "05 12023",
    ] {
        assert_eq!(date(text, "%m%d%Y"), None, "{text}");
    }
    for text in [
        "2023 5 1",
        "2023 501",
        "20235 1",
        "202351",
        "0230501",
        "20230501 ",
        " 20230501",
        "20230501x",
    ] {
        assert_eq!(date(text, "%Y%m%d"), None, "{text}");
    }
    // Only one side is a separator.
    assert_eq!(date("20235-01", "%Y%m-%d"), None);
    assert_eq!(date("202305-1", "%Y%m-%d"), day(2023, 5, 1));
    assert_eq!(date("15-2023", "%m%d-%Y"), None);
    // A digit of the format is no separator.
    assert_eq!(date("51.05.2023", "5%d.%m.%Y"), None);
    assert_eq!(date("2312", "%y%j"), None);
    assert_eq!(date("23121", "%y%j"), day(2023, 5, 1));
}

#[test]
fn between_separators_zeros_may_be_missing_and_nothing_else() {
    for text in ["5/1/2023", "05/1/2023", "5/01/2023", "05/01/2023"] {
        assert_eq!(date(text, "%m/%d/%Y"), day(2023, 5, 1), "{text}");
    }
    for text in [
        "5/1/23",
        " 5/1/2023",
        "5/ 1/2023",
        "5/1/ 2023",
        "005/1/2023",
        "5/1/2023 ",
        "+5/1/2023",
        "5//2023",
        "٥/1/2023",
    ] {
        assert_eq!(date(text, "%m/%d/%Y"), None, "{text}");
    }
    assert_eq!(date("May  1, 2023", "%b %e, %Y"), day(2023, 5, 1));
    assert_eq!(date("May 1, 2023", "%b %e, %Y"), day(2023, 5, 1));
    assert_eq!(date("MAY 01, 2023", "%b %e, %Y"), day(2023, 5, 1));
    for text in [
        "May   1, 2023",
        "May1, 2023",
        "May 1,2023",
        "May\t1, 2023",
        "Mai 1, 2023",
    ] {
        assert_eq!(date(text, "%b %e, %Y"), None, "{text}");
    }
    assert_eq!(date("2023-05-01", "%Y -%m-%d"), None);
    assert_eq!(date("2023-5-1 9", "%Y-%m-%d %H"), day(2023, 5, 1));
}

#[test]
fn years_of_two_digits_are_of_1970_to_2069() {
    for (text, year) in [
        ("00", 2000),
        ("23", 2023),
        ("68", 2068),
        ("69", 2069),
        ("70", 1970),
        ("99", 1999),
    ] {
        assert_eq!(date(&format!("01.05.{text}"), "%d.%m.%y"), day(year, 5, 1), "{text}");
    }
    for text in ["01.05.2023", "01.05.3", "01.05.003", "01.05. 3"] {
        assert_eq!(date(text, "%d.%m.%y"), None, "{text}");
    }
    assert_eq!(date("19230501", "%C%y%m%d"), day(1923, 5, 1));
}

#[test]
fn times_are_read_to_the_letter() {
    let read = |text: &str, format: &str| TimeFormat::parse(format).unwrap().timestamp(text);
    let at = |hour, minute, second| day(2023, 5, 1)?.and_hms_opt(hour, minute, second);
    assert_eq!(read("2023-05-01 9:05", "%Y-%m-%d %H:%M"), at(9, 5, 0));
    assert_eq!(read("5/1/2023 9:05:07 PM", "%m/%d/%Y %I:%M:%S %p"), at(21, 5, 7));
    assert_eq!(read("20230501090507", "%Y%m%d%H%M%S"), at(9, 5, 7));
    for (text, format) in [
        ("2023-05-01 9:5", "%Y-%m-%d %H:%M"),
        ("2023-05-01  9:05", "%Y-%m-%d %H:%M"),
        ("2023-05-01 24:00", "%Y-%m-%d %H:%M"),
        ("2023050190507", "%Y%m%d%H%M%S"),
        ("2023-05-01 09:05:07.", "%Y-%m-%d %H:%M:%S%.f"),
        // `%f` counts nanoseconds: 123456 of them are no 123456 microseconds.
        ("2023-05-01 09:05:07.123456", "%Y-%m-%d %H:%M:%S.%f"),
        ("2023-05-01 09:05:07.12", "%Y-%m-%d %H:%M:%S%.3f"),
        ("2023-05-01 09", "%Y-%m-%d %H"),
    ] {
        assert_eq!(read(text, format), None, "{text} {format}");
    }
    assert_eq!(read("-1", "%s"), day(1969, 12, 31).unwrap().and_hms_opt(23, 59, 59));
    assert_eq!(read("1682931907", "%s"), at(9, 5, 7));
    assert_eq!(read("99999999999999", "%s"), None);
    let milliseconds = read("2023-05-01 09:05:07.250", "%Y-%m-%d %H:%M:%S%.3f").unwrap();
    assert_eq!(milliseconds.nanosecond(), 250_000_000);
}

#[test]
fn offsets_are_read_to_the_letter() {
    let read = |text: &str, format: &str| {
        let instant = TimeFormat::parse(format).unwrap().instant(text)?;
        Some(instant.timestamp())
    };
    for (text, format) in [
        ("1970-01-01 02:00 +0200", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +02:00", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00+02:00", "%Y-%m-%d %H:%M%:z"),
        ("1970-01-01 02:00+02:00:00", "%Y-%m-%d %H:%M%::z"),
        ("1970-01-01 02:00+02", "%Y-%m-%d %H:%M%:::z"),
        ("1970-01-01 02:00+02", "%Y-%m-%d %H:%M%#z"),
        ("1970-01-01 00:00Z", "%Y-%m-%d %H:%M%#z"),
        ("1970-01-01T00:00:00Z", "%+"),
        ("1970-01-01 02:00:00.0+02:00", "%+"),
    ] {
        assert_eq!(read(text, format), Some(0), "{text} {format}");
    }
    for (text, format) in [
        ("1970-01-01 02:00  +0200", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +02 00", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +02::00", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +2:00", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +02", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 0200", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +0260", "%Y-%m-%d %H:%M %z"),
        ("1970-01-01 02:00 +2400", "%Y-%m-%d %H:%M %z"),
        ("1970-1-1T00:00:00Z", "%+"),
        ("1970-01-01T00:00:00 Z", "%+"),
        ("1970-01-01T00:00:00UTC", "%+"),
        ("1970-01-01T00:00:00", "%+"),
    ] {
        assert_eq!(read(text, format), None, "{text} {format}");
    }
}

/// What each reads, the first being a year: dates, then times of day.
const DATES: [&str; 22] = [
    "%Y-%m-%d",
    "%Y%m%d",
    "%m%d%Y",
    "%d%m%Y",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%-d.%-m.%Y",
    "%e %B %Y",
    "%e%m%Y",
    "%b %e, %Y",
    "%A, %d %b %Y",
    "%F",
    "%v",
    "%Y/%j",
    "%Y%j",
    "%G-W%V-%u",
    "%GW%V%u",
    "%Y-%U-%w",
    "%Y-%W-%a",
    "%C%y%m%d",
    "%Y %n%m\t%d",
    "%Y-%_m-%-d",
];
const TIMES: [&str; 14] = [
    "%H:%M:%S%.f",
    "%H%M%S%.9f",
    "%-H:%-M:%-S.%9f",
    "%k:%M:%S.%f",
    "%I:%M:%S%.f %p",
    "%l:%M:%S%.9f %P",
    "%T%.f",
    "%H%M%S%9f",
    "%-I:%M:%S %p%.f",
    "%_H:%_M:%_S%.9f",
    "%r%.9f",
    "%X%.f",
    "%R:%S%.f",
    "%I%M%S%p%.9f",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_a_format_writes_is_read_back(
        days in 0_i64..3_652_059,
        seconds in 0_u32..86_400,
        nanos in 0_u32..1_000_000_000,
        date_format in prop::sample::select(&DATES),
        time_format in prop::sample::select(&TIMES),
        offset in -1439_i32..1440,
    ) {
        let date = NaiveDate::from_ymd_opt(1, 1, 1).unwrap() + TimeDelta::days(days);
        prop_assume!(!date_format.contains("%G") || YEARS.contains(&date.iso_week().year()));
        let format = TimeFormat::parse(date_format).unwrap();
        prop_assert_eq!(format.date(&date.format(date_format).to_string()), Some(date));

        let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos).unwrap();
        let naive = date.and_time(time);
        let both = format!("{date_format} {time_format}");
        let format = TimeFormat::parse(&both).unwrap();
        prop_assert_eq!(format.timestamp(&naive.format(&both).to_string()), Some(naive));

        let offset = FixedOffset::east_opt(offset * 60).unwrap();
        for zone in ["%z", "%:z", "%::z"] {
            let all = format!("{both} {zone}");
            let Some(instant) = naive.and_local_timezone(offset).single() else { continue };
            let format = TimeFormat::parse(&all).unwrap();
            prop_assert_eq!(format.instant(&instant.format(&all).to_string()), Some(instant));
            let text = instant.format("%+").to_string();
            prop_assert_eq!(TimeFormat::parse("%+").unwrap().instant(&text), Some(instant));
        }
    }

    #[test]
    fn what_is_read_is_what_the_format_writes(
        text in "[0-9]{1,4}[-/. ]?[0-9 +-]{1,2}[-/. ]?[0-9]{1,4}",
        format in prop::sample::select(&["%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%d.%m.%Y", "%m%d%Y", "%d%m%y", "%m/%d/%y", "%Y/%j", "%y%j", "%d %m %Y"]),
    ) {
        if let Some(date) = date(&text, format) {
            let zeros = |text: &str| {
                text.split(['-', '/', '.', ' '])
                    .map(|part| part.trim_start_matches('0').to_owned())
                    .collect::<Vec<_>>()
            };
            prop_assert_eq!(zeros(&date.format(format).to_string()), zeros(&text));
        }
    }
}
