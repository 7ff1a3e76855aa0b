//! Finds the end of a record that is an object or an array. It looks at strings, escapes and brackets only, since the
//! decoder checks the rest. It can stop at any byte and go on there.

use wide::u8x16;

use super::super::failure::SplitFault;
use super::MAX_RECORD;

/// How many bytes are looked at together. Each has its bit in a `u64`, the first byte the lowest.
const BLOCK: usize = u64::BITS as usize;

/// Every second bit, from the second on.
const ODD_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;

#[derive(Debug, Default)]
pub(super) struct RecordEnd {
    /// The closing brackets that are still to come, innermost last.
    closers: Vec<u8>,
    quoted: bool,
    escaped: bool,
}

impl RecordEnd {
    /// Begins a record with its opening bracket.
    pub fn begin(&mut self, bracket: u8) {
        self.closers.clear();
        self.closers.push(if bracket == b'{' { b'}' } else { b']' });
        (self.quoted, self.escaped) = (false, false);
    }

    pub fn in_text(&self) -> bool {
        self.quoted
    }

    /// Reads on. Returns the position after what was read, and whether the record ends there.
    pub fn feed(&mut self, buffer: &[u8], mut at: usize) -> Result<(usize, bool), SplitFault> {
        while let Some(bytes) = buffer[at..].first_chunk::<BLOCK>() {
            if let Some(mut brackets) = self.brackets(&Block::of(bytes)) {
                while brackets != 0 {
                    let next = at + brackets.trailing_zeros() as usize;
                    if self.bracket(buffer[next], next)? {
                        return Ok((next + 1, true));
                    }
                    brackets &= brackets - 1;
                }
            } else {
                for (next, &byte) in (at..).zip(bytes) {
                    if self.byte(byte, next)? {
                        return Ok((next + 1, true));
                    }
                }
            }
            at += BLOCK;
        }
        for (next, &byte) in buffer.iter().enumerate().skip(at) {
            if self.byte(byte, next)? {
                return Ok((next + 1, true));
            }
        }
        Ok((buffer.len(), false))
    }

    /// The brackets of a block outside of strings. Sets what holds after the block. `None`, and nothing is set: a
    /// backslash stands outside of a string, which JSON does not allow, and the block is to be read byte by byte.
    fn brackets(&mut self, block: &Block) -> Option<u64> {
        let (escaped, open) = block.escaped(self.escaped);
        // Each quote turns all bytes after it over. This sums up the quotes up to each byte, modulo 2.
        let mut quoted = block.quotes & !escaped;
        for shift in [1, 2, 4, 8, 16, 32] {
            quoted ^= quoted << shift;
        }
        if self.quoted {
            quoted = !quoted;
        }
        if block.backslashes & !quoted != 0 {
            return None;
        }
        self.escaped = open;
        self.quoted = quoted >> (BLOCK - 1) != 0;
        Some(block.brackets & !quoted)
    }

    /// Reads one byte. Returns whether the record ends with it.
    fn byte(&mut self, byte: u8, at: usize) -> Result<bool, SplitFault> {
        match byte {
            _ if std::mem::take(&mut self.escaped) => {}
            b'"' => self.quoted = !self.quoted,
            // Outside of a string, a backslash is passed over. The decoder will refuse the record.
            b'\\' => self.escaped = self.quoted,
            b'{' | b'}' | b'[' | b']' if !self.quoted => return self.bracket(byte, at),
            _ => {}
        }
        Ok(false)
    }

    /// Reads a bracket outside of strings. Returns whether the record ends with it.
    fn bracket(&mut self, byte: u8, at: usize) -> Result<bool, SplitFault> {
        if self.closers.len() > MAX_RECORD {
            let reason = format!("more than {} million brackets are open here", MAX_RECORD >> 20);
            return Err(SplitFault::new(at, reason));
        }
        match byte {
            b'{' => self.closers.push(b'}'),
            b'[' => self.closers.push(b']'),
            _ if self.closers.pop() != Some(byte) => {
                return Err(SplitFault::new(at, "a bracket closes that is not the one open"));
            }
            _ => {}
        }
        Ok(self.closers.is_empty())
    }
}

/// Where the bytes that matter stand in a block.
struct Block {
    quotes: u64,
    backslashes: u64,
    brackets: u64,
}

impl Block {
    fn of(bytes: &[u8; BLOCK]) -> Self {
        let mut block = Self {
            quotes: 0,
            backslashes: 0,
            brackets: 0,
        };
        for (index, &lanes) in bytes.as_chunks().0.iter().enumerate() {
            let lanes = u8x16::new(lanes);
            // Of all bytes, this makes only brackets equal: `[` becomes `{`, and `]` becomes `}`.
            let curly = lanes | u8x16::splat(b'{' - b'[');
            let brackets = curly.simd_eq(u8x16::splat(b'{')) | curly.simd_eq(u8x16::splat(b'}'));
            let bits = |equal: u8x16| u64::from(equal.to_bitmask()) << (16 * index);
            block.quotes |= bits(lanes.simd_eq(u8x16::splat(b'"')));
            block.backslashes |= bits(lanes.simd_eq(u8x16::splat(b'\\')));
            block.brackets |= bits(brackets);
        }
        block
    }

    /// The bytes that a backslash before them escapes, where the block lies in a string, and whether the first byte
    /// after the block is such. Those are the bytes at odd places of each run of backslashes, and the byte after a run
    /// of odd length. A subtraction finds them for all runs at once, as simdjson does (`json_escape_scanner`).
    fn escaped(&self, first: bool) -> (u64, bool) {
        let first = u64::from(first);
        let starts = self.backslashes & !first;
        let runs = ((starts << 1) | ODD_BITS).wrapping_sub(starts) ^ ODD_BITS;
        let escaped = runs ^ (self.backslashes | first);
        (escaped, (runs & self.backslashes) >> (BLOCK - 1) != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn started(text: &str) -> RecordEnd {
        let mut end = RecordEnd::default();
        end.begin(text.as_bytes()[0]);
        end
    }

    fn told(result: Result<(usize, bool), SplitFault>) -> Result<Option<usize>, String> {
        match result {
            Ok((at, ends)) => Ok(ends.then_some(at)),
            Err(fault) => Err(format!("{fault:?}")),
        }
    }

    /// Finds the end byte by byte.
    fn slowly(text: &str) -> Result<Option<usize>, String> {
        let mut end = started(text);
        for (at, &byte) in text.as_bytes().iter().enumerate().skip(1) {
            match end.byte(byte, at) {
                Ok(false) => {}
                result => return told(result.map(|ends| (at + 1, ends))),
            }
        }
        Ok(None)
    }

    #[test]
    fn finds_the_end_of_a_record() {
        // Wide enough that the record itself lies in blocks.
        let tail = " ".repeat(2 * BLOCK);
        for (text, wanted) in [
            (r#"{"a": "}}}}}}}}}}", "b": [1, 2, {}]} , {}"#, Ok(Some(36))),
            (r#"{"a\"}\\": "\\\"}", "b": {}}, 1"#, Ok(Some(28))),
            ("[[[[[[[[[]]]]]]]]], 1", Ok(Some(18))),
            (r#"{\"}": 1}   , "#, Ok(Some(9))),
            (r#"{"a": 1"#, Ok(None)),
            ("{\u{1b}\u{3b}\u{7f}ä\u{7bd}]", Err(())),
        ] {
            let text = format!("{text}{tail}");
            assert_eq!(slowly(&text).map_err(drop), wanted, "{text}");
            assert_eq!(
                told(started(&text).feed(text.as_bytes(), 1)).map_err(drop),
                wanted,
                "{text}"
            );
        }
    }

    proptest! {
        /// Blocks give what one byte at a time gives, also where the buffer ends within the record.
        #[test]
        fn blocks_are_read_like_bytes(
            text in r#"[\{\[]([\{\}\[\]"\\ a]|"[\{\\a]*"|a{60}){0,40}"#,
            cut in 1..400_usize,
        ) {
            let wanted = slowly(&text);
            let mut end = started(&text);
            prop_assert_eq!(told(end.feed(text.as_bytes(), 1)), wanted.clone());
            let cut = cut.min(text.len());
            let mut end = started(&text);
            let got = match end.feed(&text.as_bytes()[..cut], 1) {
                Ok((_, false)) => end.feed(text.as_bytes(), cut),
                done => done,
            };
            prop_assert_eq!(told(got), wanted);
        }
    }
}
