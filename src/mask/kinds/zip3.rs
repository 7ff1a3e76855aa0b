//! `zip3`: the first three digits of a US ZIP code. `000` for areas where few people live, and null for any text that
//! is not a ZIP code.
//!
//! 45 CFR 164.514(b)(2)(i)(B) allows the three digits only for areas where more than 20,000 people live, by the Census.
//! We combine two published lists. A prefix that is small in either list is hidden.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::error::ArrowError;

/// Which lists are used. Raise the number with every change of the lists, because a change alters what is masked.
pub const ZIP3_LISTS: &str = "1: Census 2000 and Census 2010";

/// The 17 prefixes of HHS, "Guidance Regarding Methods for De-identification of Protected Health Information" (26
/// November 2012), computed from the Census of 2000.
const CENSUS_2000: [&str; 17] = [
    "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890",
    "893",
];

/// The prefixes that the Census of 2010 adds, as listed by Microsoft's Tools for Health Data Anonymization.
const CENSUS_2010: [&str; 2] = ["205", "369"];

const HIDDEN: &str = "000";

pub(in crate::mask) fn apply(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let array = array
        .as_string_opt::<i32>()
        .ok_or_else(|| super::unexpected("zip3", array.data_type()))?;
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * HIDDEN.len());
    for value in array {
        builder.append_option(value.and_then(zip3));
    }
    Ok(Arc::new(builder.finish()))
}

/// Takes five digits, or five and four digits with a hyphen, spaces or both between them. Nine digits in a row are
/// refused, because they could be a social security number.
fn zip3(text: &str) -> Option<&str> {
    let text = text.trim();
    let (five, rest) = text.split_at_checked(5)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let plus_four = rest.trim_start_matches(' ');
    let plus_four = plus_four.strip_prefix('-').unwrap_or(plus_four).trim_start_matches(' ');
    let separated = plus_four.len() < rest.len() && plus_four.len() == 4 && digits(plus_four);
    if !digits(five) || !(rest.is_empty() || separated) {
        return None;
    }
    let prefix = &five[..3];
    let small = CENSUS_2000.contains(&prefix) || CENSUS_2010.contains(&prefix);
    Some(if small { HIDDEN } else { prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_digits_of_a_zip_code() {
        for zip in [
            "02139",
            " 02139 ",
            "02139-4307",
            "02139 4307",
            "02139 - 4307",
            "02139- 4307",
        ] {
            assert_eq!(zip3(zip), Some("021"), "{zip}");
        }
        for other in [
            "",
            "021",
            "2139",
            "021394",
            "021394307",
            "02139-",
            "02139-430",
            "02139-43070",
            "02139--4307",
            "O2139",
            "02 139",
            "K1A 0B6",
            "SW1A 1AA",
            "０２１３９",
            "éé139",
            "078-05-1120",
            "02139\n4307",
            "D-02139",
        ] {
            assert_eq!(zip3(other), None, "{other}");
        }
    }

    #[test]
    fn hides_where_few_people_live() {
        for prefix in CENSUS_2000.iter().chain(&CENSUS_2010) {
            assert_eq!(zip3(&format!("{prefix}01")), Some("000"));
            assert_eq!(zip3(&format!("{prefix}99-0001")), Some("000"));
        }
        assert_eq!(zip3("00036"), Some("000"));
        assert_eq!(zip3("03701"), Some("037"));
    }

    #[test]
    fn the_documentation_lists_them() {
        let docs = include_str!("../../../docs/reference/masks.md");
        assert!(docs.contains(ZIP3_LISTS));
        assert!(
            CENSUS_2000
                .iter()
                .chain(&CENSUS_2010)
                .all(|prefix| docs.contains(prefix))
        );
    }
}
