//! Encodes PostgreSQL's binary `numeric`. It is exact and never rounds: a value that does not fit the contract's
//! precision and scale is refused.
//!
//! The format (src/backend/utils/adt/numeric.c, `numeric_recv`) consists of 16-bit big-endian numbers: the number of
//! digits, the weight of the first digit, the sign (0 or 0x4000), the display scale, then the digits in base 10000.
//! Digit `i` stands for `digit * 10000^(weight - i)`.

use std::borrow::Cow;

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};

type Outcome = Result<(), Cow<'static, str>>;

const NEGATIVE: u16 = 0x4000;
/// The most base-10000 digits that a value needs. Decimal256 holds 76 decimal digits: 19 groups, and one more where
/// they are not aligned to the decimal point.
const MAX_GROUPS: usize = 20;

/// Encodes the values of one column as `numeric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numeric {
    /// The value is `unscaled * 10^exponent`.
    exponent: i32,
    /// The display scale: the number of decimals that PostgreSQL shows.
    shown: u16,
    declared: Option<Declared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Declared {
    precision: u16,
    scale: i16,
    /// The unscaled value must have at most this many decimal digits.
    max_digits: i32,
    /// This many of the last decimal digits of the unscaled value must be zeros.
    zeros: u32,
    /// `10^max_digits`; `None` where every 128-bit value is below it.
    limit: Option<u128>,
    /// `10^zeros`; `None` where zero is the only 128-bit value that is a multiple of it.
    unit: Option<u128>,
}

impl Numeric {
    /// Makes the encoder for values of Arrow scale `scale`. `declared` holds the contract's precision and scale.
    pub(super) fn new(scale: i8, declared: Option<(u16, i16)>) -> Self {
        let scale = i32::from(scale);
        let declared = declared.map(|(precision, declared_scale)| Declared::new(precision, declared_scale, scale));
        let shown = declared.map_or(scale, |d| i32::from(d.scale));
        Self {
            exponent: -scale,
            shown: u16::try_from(shown).unwrap_or(0),
            declared,
        }
    }

    /// Whether a value fits the contract's precision and scale.
    pub(super) fn holds(&self, value: i128) -> bool {
        self.declared
            .is_none_or(|declared| declared.holds(value.unsigned_abs()))
    }

    /// Whether the contract has no precision, so that every value fits.
    pub(super) fn holds_all(&self) -> bool {
        self.declared.is_none()
    }

    /// Appends the field: its length, then the value.
    pub(super) fn put(&self, out: &mut BytesMut, value: i128) -> Outcome {
        let magnitude = value.unsigned_abs();
        if let Some(declared) = &self.declared
            && !declared.holds(magnitude)
        {
            return Err(declared.refusal());
        }
        let mut groups = Groups::new(self.exponent);
        match u64::try_from(magnitude) {
            Ok(small) => groups.split_u64(small),
            Err(_) => groups.split_u128(magnitude),
        }
        groups.put(out, value < 0, self.shown);
        Ok(())
    }

    /// Like [`put`](Self::put), for values that may need more than 128 bits. Such values are converted through their
    /// decimal digits, which is slower.
    pub(super) fn put_i256(&self, out: &mut BytesMut, value: i256) -> Outcome {
        if let Some(value) = value.to_i128() {
            return self.put(out, value);
        }
        let text = value.to_string();
        let digits = text.trim_start_matches('-').as_bytes();
        if let Some(declared) = &self.declared {
            let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
            let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
            if length > declared.max_digits || zeros < declared.zeros as usize {
                return Err(declared.refusal());
            }
        }
        let mut groups = Groups::new(self.exponent);
        groups.split_digits(digits);
        groups.put(out, text.starts_with('-'), self.shown);
        Ok(())
    }
}

impl Declared {
    fn new(precision: u16, scale: i16, value_scale: i32) -> Self {
        let max_digits = i32::from(precision) - i32::from(scale) + value_scale;
        let zeros = u32::try_from(value_scale - i32::from(scale)).unwrap_or(0);
        let limit = u32::try_from(max_digits).map_or(Some(0), |digits| 10u128.checked_pow(digits));
        Self {
            precision,
            scale,
            max_digits,
            zeros,
            limit,
            unit: 10u128.checked_pow(zeros),
        }
    }

    fn holds(&self, magnitude: u128) -> bool {
        let below = self.limit.is_none_or(|limit| magnitude < limit);
        let even = self.zeros == 0 || self.unit.is_some_and(|unit| magnitude.is_multiple_of(unit));
        magnitude == 0 || (below && even)
    }

    fn refusal(&self) -> Cow<'static, str> {
        format!("a number that does not fit numeric({},{})", self.precision, self.scale).into()
    }
}

/// Digits in base 10000, the least significant first.
struct Groups {
    digits: [u16; MAX_GROUPS],
    used: usize,
    /// Weight of `digits[0]`.
    lowest: i32,
    /// The number of zeros appended to the lowest group, because groups are aligned to the decimal point.
    pad: u32,
}

impl Groups {
    fn new(exponent: i32) -> Self {
        let pad = exponent.rem_euclid(4).unsigned_abs();
        Self {
            digits: [0; MAX_GROUPS],
            used: 0,
            lowest: exponent.div_euclid(4),
            pad,
        }
    }

    fn push(&mut self, digit: u16) {
        self.digits[self.used] = digit;
        self.used += 1;
    }

    #[expect(clippy::cast_possible_truncation, reason = "remainders below 10000")]
    fn split_u64(&mut self, mut value: u64) {
        if self.pad > 0 {
            let unit = 10u64.pow(4 - self.pad);
            self.push((value % unit * 10u64.pow(self.pad)) as u16);
            value /= unit;
        }
        while value > 0 {
            self.push((value % 10_000) as u16);
            value /= 10_000;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "remainders below 10000")]
    fn split_u128(&mut self, mut value: u128) {
        if self.pad > 0 {
            let unit = 10u128.pow(4 - self.pad);
            self.push((value % unit * 10u128.pow(self.pad)) as u16);
            value /= unit;
        }
        while value > 0 {
            self.push((value % 10_000) as u16);
            value /= 10_000;
        }
    }

    fn split_digits(&mut self, digits: &[u8]) {
        let number = |group: &[u8]| group.iter().fold(0u16, |n, digit| n * 10 + u16::from(digit - b'0'));
        let mut rest = digits;
        if self.pad > 0 {
            let (front, last) = rest.split_at(rest.len().saturating_sub(4 - self.pad as usize));
            self.push(number(last) * 10u16.pow(self.pad));
            rest = front;
        }
        for group in rest.rchunks(4) {
            self.push(number(group));
        }
    }

    fn put(&self, out: &mut BytesMut, negative: bool, shown: u16) {
        let groups = &self.digits[..self.used];
        let high = groups.iter().rposition(|digit| *digit != 0).map_or(0, |at| at + 1);
        let low = groups.iter().position(|digit| *digit != 0).unwrap_or(0);
        let groups = &groups[low..high];
        let weight = if groups.is_empty() {
            0
        } else {
            self.lowest + i32::try_from(high).unwrap_or(0) - 1
        };
        // There are at most 20 groups, and weights are within 19 + 127/4 of zero, so the conversions below lose
        // nothing.
        out.put_i32(i32::try_from(8 + 2 * groups.len()).unwrap_or(0));
        out.put_u16(u16::try_from(groups.len()).unwrap_or(0));
        out.put_i16(i16::try_from(weight).unwrap_or(0));
        out.put_u16(if negative && !groups.is_empty() { NEGATIVE } else { 0 });
        out.put_u16(shown);
        for digit in groups.iter().rev() {
            out.put_u16(*digit);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "small numbers"
    )]

    use super::*;
    use proptest::prelude::*;

    fn encode(scale: i8, declared: Option<(u16, i16)>, value: i128) -> Result<Vec<u8>, String> {
        let mut out = BytesMut::new();
        Numeric::new(scale, declared)
            .put(&mut out, value)
            .map_err(Cow::into_owned)?;
        Ok(out.to_vec())
    }

    fn wide(scale: i8, declared: Option<(u16, i16)>, value: i256) -> Result<Vec<u8>, String> {
        let mut out = BytesMut::new();
        Numeric::new(scale, declared)
            .put_i256(&mut out, value)
            .map_err(Cow::into_owned)?;
        Ok(out.to_vec())
    }

    /// Decodes the binary form to digits without leading zeros and the number of decimals, as PostgreSQL prints it.
    fn read(field: &[u8]) -> String {
        let int = |at: usize| i32::from(i16::from_be_bytes([field[at], field[at + 1]]));
        assert_eq!(
            i32::from_be_bytes([field[0], field[1], field[2], field[3]]),
            field.len() as i32 - 4
        );
        let (count, weight, sign, shown) = (int(4), int(6), int(8), int(10));
        assert_eq!(field.len() as i32, 12 + 2 * count);
        let digit = |place: i32| {
            let at = weight - place;
            if (0..count).contains(&at) {
                int(12 + 2 * at as usize)
            } else {
                0
            }
        };
        let join = |text: String, place: i32| text + &format!("{:04}", digit(place));
        let whole = (0..=weight.max(0)).rev().fold(String::new(), join);
        let whole = whole.trim_start_matches('0');
        let decimals = (1..=20).map(|place: i32| -place).fold(String::new(), join);
        assert!(
            decimals[shown as usize..].bytes().all(|c| c == b'0'),
            "digits beyond the scale"
        );
        let mut text = if whole.is_empty() { "0" } else { whole }.to_owned();
        if shown > 0 {
            text = format!("{text}.{}", &decimals[..shown as usize]);
        }
        if sign == 0x4000 { format!("-{text}") } else { text }
    }

    fn expected(unscaled: &str, scale: i8) -> String {
        let (sign, digits) = unscaled
            .strip_prefix('-')
            .map_or(("", unscaled), |digits| ("-", digits));
        if scale <= 0 {
            let zeros = if digits == "0" { 0 } else { -i32::from(scale) };
            return format!("{sign}{digits}{}", "0".repeat(zeros as usize));
        }
        let digits = format!("{digits:0>width$}", width = scale as usize + 1);
        let (whole, decimals) = digits.split_at(digits.len() - scale as usize);
        format!("{sign}{whole}.{decimals}")
    }

    #[test]
    fn known_bytes() {
        // 12345.67 = 1 * 10000^1 + 2345 + 6700 * 10000^-1
        let field = encode(2, Some((10, 2)), 1_234_567).unwrap();
        assert_eq!(
            field,
            [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 2, 0, 1, 0x09, 0x29, 0x1a, 0x2c]
        );
        assert_eq!(encode(2, None, 0).unwrap(), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2]);
        // -10000: trailing zero groups are not sent.
        assert_eq!(
            encode(0, None, -10_000).unwrap(),
            [0, 0, 0, 10, 0, 1, 0, 1, 0x40, 0, 0, 0, 0, 1]
        );
    }

    #[test]
    fn declared_scale_is_shown() {
        assert_eq!(read(&encode(1, Some((10, 3)), 15).unwrap()), "1.500");
        assert_eq!(read(&encode(3, Some((10, 1)), 1_500).unwrap()), "1.5");
        assert_eq!(read(&encode(0, Some((5, 2)), -7).unwrap()), "-7.00");
        assert_eq!(read(&encode(2, Some((5, -2)), 1_230_000).unwrap()), "12300");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(
            encode(2, Some((4, 2)), 10_000).unwrap_err(),
            "a number that does not fit numeric(4,2)"
        );
        assert!(encode(2, Some((4, 2)), 9_999).is_ok());
        assert!(encode(2, Some((4, 1)), 125).is_err(), "1.25 has two decimals");
        assert!(encode(0, Some((2, 2)), 1).is_err(), "numeric(2,2) is below one");
        assert!(encode(0, Some((2, 5)), 0).is_ok());
        assert!(encode(38, Some((38, 0)), 5).is_err());
        assert!(encode(0, Some((5, -2)), 150).is_err(), "multiples of 100 only");
        assert!(encode(0, Some((38, 0)), i128::MAX).is_err());
        assert!(encode(0, Some((39, 0)), i128::MIN).is_ok());
        let ten_to_76 = i256::from_string(&format!("1{}", "0".repeat(75))).unwrap();
        assert!(wide(0, Some((76, 0)), ten_to_76).is_ok());
        assert!(wide(0, Some((75, 0)), ten_to_76).is_err());
        assert!(wide(75, Some((1, 0)), ten_to_76).is_ok());
        assert!(wide(74, Some((1, 0)), ten_to_76).is_err());
    }

    proptest! {
        #[test]
        fn every_i128_reads_back(value: i128, scale in -38i8..=38) {
            prop_assert_eq!(read(&encode(scale, None, value).unwrap()), expected(&value.to_string(), scale));
        }

        #[test]
        fn small_values_read_back(value: i16, scale in -5i8..=9) {
            prop_assert_eq!(read(&encode(scale, None, value.into()).unwrap()), expected(&value.to_string(), scale));
        }

        #[test]
        fn every_i256_reads_back(high: i128, low: u128, scale in -20i8..=76) {
            let value = i256::from_parts(low, high >> 5);
            prop_assert_eq!(read(&wide(scale, None, value).unwrap()), expected(&value.to_string(), scale));
        }

        /// The fast conversions and the one through decimal digits give the same result.
        #[test]
        fn the_ways_agree(value: u64, scale in -10i8..=30) {
            let bytes = |split: &dyn Fn(&mut Groups)| {
                let mut groups = Groups::new(-i32::from(scale));
                split(&mut groups);
                let mut out = BytesMut::new();
                groups.put(&mut out, false, 30);
                out.to_vec()
            };
            let short = bytes(&|groups| groups.split_u64(value));
            prop_assert_eq!(&short, &bytes(&|groups| groups.split_u128(value.into())));
            prop_assert_eq!(&short, &bytes(&|groups| groups.split_digits(value.to_string().as_bytes())));
        }
    }
}
