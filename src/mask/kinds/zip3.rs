//! `zip3`: the first three digits of a US ZIP code. `000` for areas where few people live, and null for any text that
//! is not a ZIP code.
//!
//! 45 CFR 164.514(b)(2)(i)(B) allows the three digits only for areas where more than 20,000 people live, by the current
//! figures of the Census. So a prefix is shown only if the Census of 2020 has counted more than 20,000 people there, and
//! HHS does not list it as small. All others become `000`: prefixes that do not exist, and those of the military, of post
//! office boxes and of single recipients, for which the Census counts nobody.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::error::ArrowError;

/// Which lists are used. Raise the number with every change of the lists, because a change alters what is masked.
pub const ZIP3_LISTS: &str =
    "3: more than 20,000 people in the Census of 2020, less the 17 that HHS lists by that of 2000";

/// The 17 prefixes of HHS, "Guidance Regarding Methods for De-identification of Protected Health Information" (26
/// November 2012), computed from the Census of 2000. HHS says to use newer figures where there are some; by those of 2020,
/// five of these have more people (063, 790, 830, 831, 890). They stay hidden as long as the figures below are a copy.
const CENSUS_2000: [&str; 17] = [
    "036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890",
    "893",
];

/// The 876 of 894 prefixes in which the Census of 2020 has counted more than 20,000 people, as ranges: Demographic and
/// Housing Characteristics File, table P1, over all 33,774 ZIP Code Tabulation Areas with 334,726,586 people in the states,
/// the District of Columbia and Puerto Rico. The figures are those of a copy in a public repository (peopleworks/Silueta,
/// `zip3.census-2020.json`, retrieved from data.census.gov on 22 September 2026); their sum was checked, and they were not
/// compared with the Bureau's own. The 18 others are 036, 059, 102, 202 to 205, 369, 556, 692, 753, 772, 821, 823, 878, 879,
/// 884 and 893. The islands (008, 969) are not in that file, so they are hidden.
#[rustfmt::skip]
const PLACES: [(&str, &str); 75] = [
    ("006", "007"), ("009", "035"), ("037", "054"), ("056", "058"), ("060", "089"), ("100", "101"), ("103", "191"),
    ("193", "201"), ("206", "212"), ("214", "268"), ("270", "310"), ("312", "331"), ("333", "339"), ("341", "342"),
    ("344", "344"), ("346", "347"), ("349", "352"), ("354", "368"), ("370", "374"), ("376", "398"), ("400", "418"),
    ("420", "427"), ("430", "458"), ("460", "508"), ("510", "516"), ("520", "528"), ("530", "532"), ("534", "535"),
    ("537", "551"), ("553", "554"), ("557", "567"), ("570", "577"), ("580", "588"), ("590", "620"), ("622", "631"),
    ("633", "641"), ("644", "648"), ("650", "658"), ("660", "662"), ("664", "681"), ("683", "691"), ("693", "693"),
    ("700", "701"), ("703", "708"), ("710", "714"), ("716", "731"), ("734", "741"), ("743", "752"), ("754", "770"),
    ("773", "816"), ("820", "820"), ("822", "822"), ("824", "838"), ("840", "841"), ("843", "847"), ("850", "853"),
    ("855", "857"), ("859", "860"), ("863", "865"), ("870", "871"), ("873", "875"), ("877", "877"), ("880", "883"),
    ("890", "891"), ("894", "895"), ("897", "898"), ("900", "900"), ("902", "908"), ("910", "928"), ("930", "937"),
    ("939", "941"), ("943", "961"), ("967", "968"), ("970", "986"), ("988", "999"),
];

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
    Some(if is_large(prefix) { prefix } else { HIDDEN })
}

/// Whether more than 20,000 people live there, by the lists.
fn is_large(prefix: &str) -> bool {
    // Of three digits each, so the order of texts is that of numbers.
    let is_place = PLACES.iter().any(|(first, last)| (*first..=*last).contains(&prefix));
    is_place && !CENSUS_2000.contains(&prefix)
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
        let small = ["202", "204", "205", "369", "753", "772"];
        for prefix in CENSUS_2000.iter().chain(&small) {
            assert_eq!(zip3(&format!("{prefix}01")), Some("000"));
            assert_eq!(zip3(&format!("{prefix}99-0001")), Some("000"));
        }
        assert_eq!(zip3("00036"), Some("000"));
        assert_eq!(zip3("03701"), Some("037"));
    }

    #[test]
    fn hides_what_is_not_known_as_a_place() {
        // None of these is assigned.
        for unknown in [
            "000", "001", "004", "099", "213", "269", "343", "419", "533", "632", "872", "909", "987", "008", "969",
        ] {
            assert_eq!(zip3(&format!("{unknown}01")), Some("000"), "{unknown}");
        }
        // The military, single recipients, post office boxes.
        for nobody in [
            "005", "090", "098", "192", "202", "340", "375", "399", "569", "733", "885", "962", "966",
        ] {
            assert_eq!(zip3(&format!("{nobody}01")), Some("000"), "{nobody}");
        }
        for place in [
            "006", "010", "021", "100", "200", "331", "606", "739", "770", "902", "967", "999",
        ] {
            assert_eq!(zip3(&format!("{place}01")), Some(place));
        }
    }

    #[test]
    fn the_ranges_are_in_order_and_apart() {
        assert!(
            PLACES
                .iter()
                .all(|(first, last)| first.len() == 3 && last.len() == 3 && first <= last)
        );
        assert!(PLACES.windows(2).all(|two| two[0].1 < two[1].0));
        let number = |prefix: &str| prefix.parse::<u32>().unwrap();
        let count: u32 = PLACES
            .iter()
            .map(|(first, last)| number(last) - number(first) + 1)
            .sum();
        assert_eq!(count, 876);
    }

    #[test]
    fn the_documentation_lists_them() {
        let docs = include_str!("../../../docs/reference/masks.md");
        assert!(docs.contains(ZIP3_LISTS));
        assert!(CENSUS_2000.iter().all(|prefix| docs.contains(prefix)));
    }
}
