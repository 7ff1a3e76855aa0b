//! The project's mask key and the secrets derived from it. Each is derived with HMAC-SHA-256 for one stated use.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rand::TryRngCore as _;
use ring::hmac::{Context, HMAC_SHA256, Key};

/// Length of a key in bytes: 256 bits, the strength of the hash that uses it.
pub(super) const KEY_BYTES: usize = 32;

/// The secret key of a project's masks. Anyone who has it can test whether a masked value comes from a value they
/// guess.
pub struct MaskKey(Box<[u8; KEY_BYTES]>);

impl MaskKey {
    /// Reads 32 bytes from base64: standard or URL-safe, with or without padding. White space around the text is
    /// ignored. `None` for anything else.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        [STANDARD, URL_SAFE].iter().find_map(|alphabet| {
            let mut bytes = GeneralPurpose::new(alphabet, config).decode(text.trim()).ok()?;
            let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok();
            wipe(&mut bytes);
            key.map(|key| Self(Box::new(key)))
        })
    }

    #[cfg(test)]
    pub(super) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Box::new(bytes))
    }

    /// A random key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = Box::new([0; KEY_BYTES]);
        rand::rngs::OsRng
            .try_fill_bytes(bytes.as_mut_slice())
            .map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }

    /// The key as base64 with padding, for the key file.
    pub(super) fn encode(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.0.as_slice())
    }

    /// Whether all bytes are equal. Such a key is a placeholder and not a random key.
    pub(super) fn is_placeholder(&self) -> bool {
        self.0.iter().all(|byte| *byte == self.0[0])
    }

    /// Identifies the key without revealing it: 16 hex digits, the first 8 bytes of HMAC(key, "key id").
    pub fn key_id(&self) -> String {
        let mut mac = self.mac();
        mac.update(b"key id");
        hex::encode(&mac.sign().as_ref()[..8])
    }

    /// The `hash` mask of a single value: 32 hex digits. Used to hide names, and to find the rows of one person.
    pub fn hash(&self, domain: &str, value: &str) -> String {
        hex::encode(self.keyed(Use::Hash, domain).token(value.as_bytes()))
    }

    /// The hash under which the run history notes a store's etags.
    pub fn etags(&self) -> NameHash {
        NameHash(self.keyed(Use::Etag, ""))
    }

    /// The hash that distinguishes undeclared names in messages without showing them.
    pub fn names(&self) -> NameHash {
        NameHash(self.keyed(Use::Name, ""))
    }

    /// The key of `pipeline test`. It is the same for everyone and protects nothing, so that the masked values in a test
    /// case do not change. Never use it for real data.
    pub fn of_test_cases() -> Self {
        Self(Box::new(*b"the public key of pipeline test!"))
    }

    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self::from_bytes([7; KEY_BYTES])
    }

    /// Prepares the key for one use and one domain. It is made once and used for every value.
    pub(super) fn keyed(&self, usage: Use, domain: &str) -> Keyed {
        let mut mac = self.mac();
        mac.update(usage.tag());
        // The length marks where the domain ends, so that no other pair of domain and value gives the same input.
        mac.update(&(domain.len() as u64).to_le_bytes());
        mac.update(domain.as_bytes());
        Keyed(mac)
    }

    fn mac(&self) -> Context {
        Context::with_key(&Key::new(HMAC_SHA256, self.0.as_slice()))
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(..)")
    }
}

impl Drop for MaskKey {
    fn drop(&mut self) {
        wipe(self.0.as_mut_slice());
    }
}

/// Overwrites secret bytes, as far as possible. Without unsafe code the compiler may still skip the write; `black_box`
/// makes that unlikely.
pub(super) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// What an HMAC is computed for. Two different uses never give the same HMAC.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use {
    Hash,
    Pseudonym,
    DateShift,
    Name,
    Surrogate,
    Etag,
    Suppression,
}

impl Use {
    /// No tag is a prefix of another tag or of `key id`.
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Hash => b"hash\0",
            Self::Pseudonym => b"pseudonym\0",
            Self::DateShift => b"date shift\0",
            Self::Name => b"name\0",
            Self::Surrogate => b"surrogate\0",
            Self::Etag => b"etag\0",
            Self::Suppression => b"suppression\0",
        }
    }
}

/// 128 bits of an HMAC. Among 2^32 different values, the probability that two get the same token is 2^-65.
pub(super) type Token = [u8; 16];

/// HMAC-SHA-256 that has already taken in the key, the use and the domain.
#[derive(Clone)]
pub(super) struct Keyed(Context);

impl Keyed {
    pub(super) fn token(&self, value: &[u8]) -> Token {
        let mut mac = self.0.clone();
        mac.update(value);
        let mut token = Token::default();
        token.copy_from_slice(&mac.sign().as_ref()[..16]);
        token
    }
}

/// The keyed hash of a name that must not be shown, such as the name of an undeclared field. Under one key, equal names
/// have equal hashes and different names have different hashes.
#[derive(Debug, Clone)]
pub struct NameHash(Keyed);

impl NameHash {
    /// The hash of a name: 16 hex digits.
    pub fn of(&self, name: &str) -> String {
        hex::encode(&self.0.token(name.as_bytes())[..8])
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn reads_both_alphabets_with_and_without_padding() {
        let bytes: [u8; 32] = [0xfb; 32];
        let standard = MaskKey::from_bytes(bytes).encode();
        let url_safe = standard.replace('+', "-").replace('/', "_");
        assert_ne!(standard, url_safe);
        for text in [
            &standard,
            &url_safe,
            standard.trim_end_matches('='),
            &format!(" {standard}\n"),
        ] {
            assert_eq!(MaskKey::decode(text).map(|key| *key.0), Some(bytes));
        }
        let short = base64::engine::general_purpose::STANDARD.encode([1; 31]);
        let long = base64::engine::general_purpose::STANDARD.encode([1; 33]);
        for text in [
            "",
            "secret",
            &short,
            &long,
            "AAECAwQF*gcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ] {
            assert!(MaskKey::decode(text).is_none());
        }
    }

    #[test]
    fn derives_as_documented() {
        // The expected values were computed separately, with Python's hmac. Hashes that users have stored depend on
        // these bytes.
        let key = MaskKey::decode(ONE).unwrap();
        assert_eq!(key.key_id(), "865174565c84e8db");
        assert_eq!(key.hash("patient", "P-001"), "5d34db090970429accbae8507ae0b60c");
    }

    #[test]
    fn uses_and_domains_are_apart() {
        let key = MaskKey::decode(ONE).unwrap();
        let tokens = [
            key.keyed(Use::Hash, "ab").token(b"c"),
            key.keyed(Use::Hash, "a").token(b"bc"),
            key.keyed(Use::Pseudonym, "ab").token(b"c"),
            key.keyed(Use::DateShift, "ab").token(b"c"),
            key.keyed(Use::Hash, "").token(b"abc"),
            key.keyed(Use::Name, "").token(b"abc"),
            key.keyed(Use::Name, "ab").token(b"c"),
            key.keyed(Use::Surrogate, "ab").token(b"c"),
            key.keyed(Use::Etag, "ab").token(b"c"),
            key.keyed(Use::Suppression, "ab").token(b"c"),
        ];
        for (i, one) in tokens.iter().enumerate() {
            assert!(tokens[i + 1..].iter().all(|other| one != other));
        }
    }

    #[test]
    fn debug_shows_nothing() {
        let key = MaskKey::from_bytes([7; 32]);
        assert_eq!(
            format!("{key:?} {:?}", key.keyed(Use::Hash, "patient")),
            "MaskKey(..) Keyed(..)"
        );
    }
}
