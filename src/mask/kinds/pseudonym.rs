//! `pseudonym`: an invented name of two words and ten characters, such as `Mossy Otter 4k7q0v9xhm`. A reader sees that
//! it is not the name of a real person, and that two rows with the same pseudonym are about the same person.
//!
//! The words hold 14 bits and the characters 50. For a million different names, the probability that two get the same
//! pseudonym is 3 in 10^8 (the square of their number, divided by 2 and by 2^64).

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::hash;
use crate::mask::key::Keyed;

/// The greatest length in bytes: the longest words, two spaces and the characters.
const LONGEST: usize = 32;

/// Crockford's base 32. It leaves out the letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

pub(in crate::mask) fn apply(keyed: &Keyed, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if array.data_type() != &DataType::Utf8 {
        return Err(super::unexpected("pseudonym", array.data_type()));
    }
    hash::tokens(keyed, array, "pseudonym", LONGEST, name_into)
}

fn name_into(token: &[u8], name: &mut String) {
    name.push_str(FIRST[usize::from(token[0] & 127)]);
    name.push(' ');
    name.push_str(SECOND[usize::from(token[1] & 127)]);
    name.push(' ');
    let bits = token[2..10]
        .iter()
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    for nth in 0..10 {
        let five = usize::try_from(bits >> (5 * nth) & 31).expect("five bits");
        name.push(char::from(ALPHABET[five]));
    }
}

/// Words for land, light and weather. Chosen for this program; none is a common given name.
#[rustfmt::skip]
const FIRST: [&str; 128] = [
    "Amberish", "Arctic", "Autumnal", "Azure", "Balmy", "Basaltic", "Beachy", "Billowy",
    "Blustery", "Boreal", "Bracken", "Breezy", "Brindled", "Briny", "Bronzed", "Bubbly",
    "Burnished", "Bushy", "Chalky", "Cloudy", "Coastal", "Cobalt", "Copper", "Coppiced",
    "Coral", "Cosmic", "Craggy", "Crimson", "Crystal", "Curly", "Dappled", "Dewy",
    "Distant", "Downy", "Drifting", "Dusky", "Dusty", "Earthen", "Ebony", "Emerald",
    "Evening", "Fabled", "Feathery", "Fernlike", "Floral", "Foggy", "Forested", "Freckled",
    "Frosty", "Frozen", "Furry", "Gilded", "Glacial", "Gleaming", "Glossy", "Golden",
    "Granite", "Grassy", "Gusty", "Hardy", "Hazy", "Heathery", "Hidden", "Hilly",
    "Hollow", "Humid", "Icy", "Indigo", "Inland", "Ivory", "Jade", "Jagged",
    "Knotty", "Lakeside", "Leafy", "Limestone", "Lofty", "Lunar", "Marbled", "Marshy",
    "Meadowy", "Mellow", "Midnight", "Misty", "Mossy", "Mottled", "Mountain", "Nimble",
    "Northern", "Nutty", "Oaken", "Oceanic", "Olive", "Opal", "Painted", "Pebbly",
    "Pelagic", "Polar", "Quartz", "Quiet", "Rainy", "Reedy", "Rippled", "Rocky",
    "Rolling", "Rosy", "Rugged", "Russet", "Rustic", "Sandy", "Scarlet", "Seaborn",
    "Shady", "Silken", "Silver", "Snowy", "Solar", "Southern", "Spotted", "Starlit",
    "Stormy", "Sunlit", "Tidal", "Tufted", "Twilit", "Velvet", "Wandering", "Woodland",
];

/// Animals, plants and places. Chosen for this program; none is a common family name.
#[rustfmt::skip]
const SECOND: [&str; 128] = [
    "Albatross", "Alder", "Almond", "Anchovy", "Anemone", "Antelope", "Apricot", "Armadillo",
    "Artichoke", "Avocet", "Badger", "Bamboo", "Barnacle", "Beaver", "Beetle", "Begonia",
    "Bison", "Bittern", "Blackbird", "Bobcat", "Boulder", "Buffalo", "Bumblebee", "Bunting",
    "Buttercup", "Buzzard", "Cactus", "Camellia", "Canyon", "Caribou", "Cedar", "Chamois",
    "Cheetah", "Chestnut", "Chickadee", "Chinchilla", "Cicada", "Clover", "Cockatoo", "Condor",
    "Cormorant", "Cowslip", "Coyote", "Cricket", "Crocus", "Cuckoo", "Cypress", "Daffodil",
    "Dahlia", "Dandelion", "Dolphin", "Dormouse", "Dragonfly", "Dunlin", "Echidna", "Egret",
    "Eider", "Elderberry", "Ermine", "Eucalyptus", "Firefly", "Flamingo", "Foxglove", "Gannet",
    "Gazelle", "Gecko", "Geyser", "Ginkgo", "Glacier", "Gooseberry", "Grasshopper", "Guillemot",
    "Harrier", "Hazelnut", "Hedgehog", "Hellebore", "Hibiscus", "Hornbeam", "Hyacinth", "Ibex",
    "Iguana", "Jackdaw", "Jaguar", "Juniper", "Kelp", "Kestrel", "Kingfisher", "Kittiwake",
    "Koala", "Lagoon", "Lapwing", "Larkspur", "Lavender", "Lemur", "Leopard", "Lichen",
    "Lobster", "Lynx", "Magnolia", "Mallard", "Manatee", "Marmot", "Meerkat", "Mistletoe",
    "Moorhen", "Mulberry", "Narwhal", "Nautilus", "Nettle", "Nuthatch", "Ocelot", "Octopus",
    "Osprey", "Otter", "Panther", "Papaya", "Pelican", "Penguin", "Petrel", "Platypus",
    "Porcupine", "Puffin", "Quail", "Raccoon", "Salamander", "Seahorse", "Toucan", "Walrus",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, StringArray};

    use super::*;
    use crate::mask::key::{MaskKey, Use};

    fn keyed() -> Keyed {
        MaskKey::from_bytes([3; 32]).keyed(Use::Pseudonym, "person")
    }

    fn pseudonyms(names: &ArrayRef) -> Vec<Option<String>> {
        let masked = apply(&keyed(), names).unwrap();
        masked
            .as_string::<i32>()
            .iter()
            .map(|name| name.map(str::to_owned))
            .collect()
    }

    #[test]
    fn lists_hold_no_word_twice() {
        let words: HashSet<&str> = FIRST.into_iter().chain(SECOND).collect();
        assert_eq!(words.len(), 256);
        let longest = |words: &[&str]| words.iter().map(|word| word.len()).max().unwrap();
        assert_eq!(longest(&FIRST) + longest(&SECOND) + 12, LONGEST);
    }

    #[test]
    fn is_stable_and_looks_like_one() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![
            Some("Zoë Ångström"),
            Some("山田太郎"),
            None,
            Some(""),
            Some("Zoë Ångström"),
        ]));
        let masked = pseudonyms(&names);
        assert_eq!(masked, pseudonyms(&names));
        assert_eq!(masked[0], masked[4]);
        assert_eq!(masked[2], None);
        for name in masked.iter().flatten() {
            let parts: Vec<&str> = name.split(' ').collect();
            assert!(name.is_ascii() && parts.len() == 3 && parts[2].len() == 10);
            assert!(FIRST.contains(&parts[0]) && SECOND.contains(&parts[1]));
        }
    }

    #[test]
    fn different_names_stay_different() {
        let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..100_000).map(|i| format!("Name {i}"))));
        let masked: HashSet<String> = pseudonyms(&names).into_iter().flatten().collect();
        assert_eq!(masked.len(), names.len());
    }
}
