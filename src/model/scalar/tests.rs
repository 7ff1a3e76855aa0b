use super::*;

fn formats(list: &[&str]) -> Formats {
    Formats::parse(&list.iter().map(|&format| format.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn value(read: Result<Micros, Reason>) -> Result<i64, Reason> {
    read.map(|micros| {
        assert!(!micros.cut);
        micros.value
    })
}

#[test]
fn whole_numbers_are_whole() {
    assert_eq!(int::<i32>("-2147483648"), Ok(i32::MIN));
    assert_eq!(int::<i64>("9223372036854775807"), Ok(i64::MAX));
    assert_eq!(int::<i32>("-0"), Ok(0));
    for text in ["1.0", "1e3", "", "-", "+1", " 1", "1 ", "0x1", "١"] {
        assert!(int::<i32>(text).is_err(), "{text}");
    }
    assert_eq!(int::<i32>("2147483648"), Err("a number too large for its type"));
    assert!(int::<i64>("9223372036854775808").is_err());
}

#[test]
fn doubles_are_finite() {
    assert_eq!(double("1e308"), Ok(1e308));
    assert_eq!(double("0.1"), Ok(0.1));
    assert_eq!(double("5e-324"), Ok(5e-324));
    for text in [
        "1e999", "-1e999", "NaN", "inf", "infinity", "1_0", "", ".5", "5.", "1e", "0x10",
    ] {
        assert!(double(text).is_err(), "{text}");
    }
}

#[test]
fn decimals_are_exact() {
    assert_eq!(decimal("123.45", 5, 2), Ok(12345));
    assert_eq!(decimal("-0.05", 5, 2), Ok(-5));
    assert_eq!(decimal("1e2", 5, 2), Ok(10000));
    assert_eq!(decimal("1.50000", 3, 2), Ok(150));
    assert_eq!(decimal("12345e-2", 5, 2), Ok(12345));
    assert_eq!(decimal("0e999999999999999999999", 5, 2), Ok(0));
    assert_eq!(decimal("-0.000", 5, 2), Ok(0));
    assert_eq!(decimal("007.10", 5, 2), Ok(710));
    assert_eq!(decimal(&"9".repeat(38), 38, 0), Ok(10_i128.pow(38) - 1));
    assert_eq!(decimal(&format!("-{}", "9".repeat(38)), 38, 0), Ok(1 - 10_i128.pow(38)));
    assert!(decimal("1.005", 5, 2).unwrap_err().contains("after"));
    assert!(decimal("1000", 5, 2).unwrap_err().contains("before"));
    assert!(decimal("1e999999999999999999999", 5, 2).unwrap_err().contains("before"));
    assert!(decimal("1e-999999999999999999999", 5, 2).unwrap_err().contains("after"));
    assert!(decimal(&"9".repeat(39), 38, 0).is_err());
    assert!(decimal("abc", 5, 2).is_err());
}

#[test]
fn iso_dates() {
    let none = Formats::default();
    assert_eq!(date("1970-01-01", &none), Ok(0));
    assert_eq!(date("1969-12-31", &none), Ok(-1));
    assert_eq!(date("2024-02-29", &none), Ok(19782));
    assert_eq!(date("9999-12-31", &none), Ok(2_932_896));
    for text in [
        "2023-02-29",
        "2023-2-9",
        "2023-13-01",
        "2023-00-10",
        "2023-01-32",
        "20230101",
        "2023-01-01 ",
        "",
        "0000-01-01",
    ] {
        assert!(date(text, &none).is_err(), "{text}");
    }
}

#[test]
fn declared_date_formats_in_order() {
    let both = formats(&["%d.%m.%Y", "%Y%m%d"]);
    assert_eq!(date("02.01.1970", &both), Ok(1));
    assert_eq!(date("19700103", &both), Ok(2));
    for text in ["1970-01-02", "31.02.2023", "02.01.1970x"] {
        assert!(date(text, &both).is_err(), "{text}");
    }
    assert!(Formats::parse(&["%Q".to_owned()]).is_err());
}

#[test]
fn timestamps_without_offset() {
    let none = Formats::default();
    assert_eq!(value(timestamp("1970-01-01T00:00:01.5", &none)), Ok(1_500_000));
    assert_eq!(value(timestamp("1970-01-02 00:01", &none)), Ok(86_460_000_000));
    assert_eq!(value(timestamp("1969-12-31T23:59:59.999999", &none)), Ok(-1));
    assert_eq!(value(timestamp("1970-01-01T00:00:00.000001000000000", &none)), Ok(1));
    for text in [
        "1970-01-01",
        "1970-01-01T24:00",
        "1970-01-01T00:60",
        "1970-01-01T00:00:60",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.",
        "1970-01-01T0:00",
        "1970-01-01é00:00",
    ] {
        assert!(timestamp(text, &none).is_err(), "{text}");
    }
    assert_eq!(
        value(timestamp("01.01.1970 00:00:02", &formats(&["%d.%m.%Y %H:%M:%S"]))),
        Ok(2_000_000)
    );
    assert!(timestamp("01.01.1970 00:00:60", &formats(&["%d.%m.%Y %H:%M:%S"])).is_err());
}

#[test]
fn what_is_finer_than_a_microsecond_is_cut_off_and_said() {
    let none = Formats::default();
    let cut = |value| Ok(Micros { value, cut: true });
    for digits in ["0000019", "000001999", "0000010000001"] {
        let text = format!("1970-01-01T00:00:00.{digits}");
        assert_eq!(timestamp(&text, &none), cut(1), "{text}");
        assert_eq!(timestamp(&text, &formats(&["%Y-%m-%dT%H:%M:%S%.f"])), cut(1), "{text}");
        assert_eq!(utc_timestamp(&text, &none), cut(1), "{text}");
        let text = text + "+01:00";
        assert_eq!(timestamptz(&text, &none), cut(1 - 3_600_000_000), "{text}");
        assert_eq!(timestamptz(&text, &formats(&["%+"])), cut(1 - 3_600_000_000), "{text}");
    }
    assert_eq!(timestamp("1969-12-31T23:59:59.9999999", &none), cut(-1));
}

#[test]
fn sql_reads_offsets_as_utc_and_dates_as_their_start() {
    let none = Formats::default();
    for text in [
        "1970-01-02",
        "1970-01-02T00:00",
        "1970-01-02 02:00:00+02:00",
        "1970-01-01T19:00:00-0500",
    ] {
        assert_eq!(value(utc_timestamp(text, &none)), Ok(86_400_000_000), "{text}");
    }
    let read = |text, format: &str| value(utc_timestamp(text, &formats(&[format])));
    assert_eq!(read("02.01.1970", "%d.%m.%Y"), Ok(86_400_000_000));
    assert_eq!(read("01.01.1970 01:00 +0100", "%d.%m.%Y %H:%M %z"), Ok(0));
    // A part of a time is not dropped.
    assert!(read("01.01.1970 01", "%d.%m.%Y %H").is_err());
    assert!(read("1970-01-01T00:00:60", "%Y-%m-%dT%H:%M:%S").is_err());
}

#[test]
fn instants_need_their_offset() {
    let none = Formats::default();
    assert_eq!(value(timestamptz("1970-01-01T00:00:00Z", &none)), Ok(0));
    assert_eq!(value(timestamptz("1970-01-01T02:00:00+02:00", &none)), Ok(0));
    assert_eq!(value(timestamptz("1969-12-31T19:30:00-0430", &none)), Ok(0));
    for text in [
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00+2",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00 UTC",
    ] {
        assert!(timestamptz(text, &none).is_err(), "{text}");
    }
    assert_eq!(
        value(timestamptz(
            "01.01.1970 02:00:00 +0200",
            &formats(&["%d.%m.%Y %H:%M:%S %z"])
        )),
        Ok(0)
    );
}

#[test]
fn a_number_has_one_plain_text() {
    for (texts, plain) in [
        (&["5", "5.0", "5e0", "50e-1", "0.5E+1", "5.000"][..], "5"),
        (&["0", "-0", "0.00", "0e999999999999999999999", "-0.0e-5"], "0"),
        (&["-1.50", "-15e-1", "-0.15e1"], "-1.5"),
        (&["0.001", "1e-3", "100e-5", "00.0010"], "0.001"),
        (&["1200", "12e2", "1.2e3", "1200.0"], "1200"),
        (
            &["12345678901234567890.5", "123456789012345678905e-1"],
            "12345678901234567890.5",
        ),
    ] {
        for text in texts {
            assert_eq!(plain_number(text).as_deref(), Ok(plain), "{text}");
        }
    }
    assert_eq!(plain_number("1e999").map(|text| text.len()), Ok(1000));
    assert_eq!(plain_number("1e-1000").map(|text| text.len()), Ok(1002));
    for text in ["1e1000", "1e-1001", "1e99999999999999999999", "1e-99999999999999999999"] {
        assert_eq!(plain_number(text), Err("a number of too many digits"), "{text}");
    }
    for text in ["", "x", "1.", ".5", "1e", "+1", "NaN", "inf"] {
        assert_eq!(plain_number(text), Err("not a number"), "{text}");
    }
}
