//! What the reader of a part sends to who puts the parts together: messages, cut into pieces of bounded size. Records are
//! masked before they come here, so that no piece holds a value that a mask replaces.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ingest::PartReport;
use crate::mask::{Masked, Masks};
use crate::run::input::Salvaged;

/// The most bytes of a message in one piece.
const PIECE: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// What a piece begins with: whether more of its message come.
const MORE: u8 = 0;
const LAST: u8 = 1;

const RECORDS: u8 = b'r';
const SALVAGED: u8 = b's';
const END: u8 = b'e';

/// One message. The last one of a part is its end.
pub(super) enum Message {
    Records(Masked),
    Salvaged(Salvaged),
    End(Box<End>),
}

/// How the read of a part ended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct End {
    /// Why it could not be read to its end.
    pub error: Option<Error>,
    /// What was found until then.
    pub report: PartReport,
}

impl Message {
    /// The message in pieces.
    pub fn pieces(&self) -> Result<Vec<Vec<u8>>> {
        let bytes = match self {
            Self::Records(records) => {
                let mut bytes = vec![RECORDS];
                write(records, &mut bytes)?;
                bytes
            }
            Self::Salvaged(Salvaged { records, suppressed }) => {
                let mut bytes = vec![SALVAGED];
                bytes.extend((suppressed.len() as u64).to_be_bytes());
                bytes.extend(suppressed.iter().flat_map(|id| id.to_be_bytes()));
                write(records, &mut bytes)?;
                bytes
            }
            Self::End(end) => {
                let mut bytes = vec![END];
                serde_json::to_writer(&mut bytes, end).map_err(|_| Error::internal())?;
                bytes
            }
        };
        let pieces = bytes.len().div_ceil(PIECE);
        let piece = |(at, bytes): (usize, &[u8])| {
            let mut piece = Vec::with_capacity(bytes.len() + 1);
            piece.push(if at + 1 == pieces { LAST } else { MORE });
            piece.extend_from_slice(bytes);
            piece
        };
        Ok(bytes.chunks(PIECE).enumerate().map(piece).collect())
    }
}

/// A message that has arrived. Records are still bytes, since a read of one kind passes over those of others.
pub(super) enum Arrived {
    Records {
        kind: usize,
        bytes: Vec<u8>,
    },
    Salvaged {
        kind: usize,
        suppressed: Vec<u64>,
        bytes: Vec<u8>,
    },
    End(Box<End>),
}

/// Puts pieces together.
#[derive(Default)]
pub(super) struct Pieces {
    message: Vec<u8>,
}

impl Pieces {
    /// Adds a piece. Returns the message that it ends.
    ///
    /// # Errors
    /// It is no piece of a message of this program.
    pub fn add(&mut self, piece: &[u8]) -> Result<Option<Arrived>> {
        let (state, bytes) = piece.split_first().ok_or_else(Error::internal)?;
        self.message.extend_from_slice(bytes);
        if *state == MORE {
            return Ok(None);
        }
        let message = std::mem::take(&mut self.message);
        arrived(&message).map(Some).ok_or_else(Error::internal)
    }
}

fn arrived(message: &[u8]) -> Option<Arrived> {
    let (tag, mut bytes) = message.split_first()?;
    match *tag {
        RECORDS => {
            let kind = usize::try_from(number(&mut bytes)?).ok()?;
            let bytes = bytes.to_vec();
            Some(Arrived::Records { kind, bytes })
        }
        SALVAGED => {
            let count = number(&mut bytes)?;
            let suppressed = (0..count).map(|_| number(&mut bytes)).collect::<Option<_>>()?;
            let kind = usize::try_from(number(&mut bytes)?).ok()?;
            Some(Arrived::Salvaged {
                kind,
                suppressed,
                bytes: bytes.to_vec(),
            })
        }
        END => serde_json::from_slice(bytes).ok().map(Arrived::End),
        _ => None,
    }
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_be_bytes(*number))
}

/// What Arrow says could quote a value.
fn write(records: &Masked, bytes: &mut Vec<u8>) -> Result<()> {
    bytes.extend((records.kind() as u64).to_be_bytes());
    let batch = records.batch();
    let mut writer = StreamWriter::try_new(bytes, &batch.schema()).map_err(|_| Error::internal())?;
    let written = writer.write(batch).and_then(|()| writer.finish());
    written.map_err(|_| Error::internal())
}

/// Reads records of a kind, which are masked.
///
/// # Errors
/// They are not of the schema of the masks.
pub(super) fn records(kind: usize, bytes: &[u8], masks: &Masks) -> Result<Masked> {
    let read = || {
        let mut batches = StreamReader::try_new(Cursor::new(bytes), None).ok()?;
        let batch: RecordBatch = batches.next()?.ok()?;
        Masked::arrived(batch, kind, masks)
    };
    read().ok_or_else(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListArray, StringArray, UInt64Array};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::DataType;

    use super::*;
    use crate::error::Code;
    use crate::mask::{MaskKey, Unmasked};
    use crate::model::testing::{field, list, phi, source};
    use crate::model::{FieldType, MaskKind, PhiClass, Privacy, Source, arrow_schema};

    fn of() -> (Source, Masks) {
        let schema = vec![
            field("id", FieldType::String, phi(PhiClass::Identifier, MaskKind::Hash, None)),
            field("name", FieldType::String, phi(PhiClass::Name, MaskKind::Redact, None)),
            field("codes", list(FieldType::String), Privacy::default()),
        ];
        let source = source("test", schema);
        let masks = Masks::plan(&source, &MaskKey::for_tests()).unwrap();
        (source, masks)
    }

    /// Rows of which two fields hold a canary, in an array that starts within another one.
    fn masked(source: &Source, masks: &Masks, rows: usize) -> Masked {
        let schema = arrow_schema(&source.kinds[0]);
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..rows).map(|row| format!("CANARY {row}")),
        ));
        let codes = StringArray::from_iter_values((0..rows).map(|row| format!("code {row}")));
        let DataType::List(item) = schema.field(2).data_type() else {
            panic!("codes are a list");
        };
        let codes = ListArray::new(
            Arc::clone(item),
            OffsetBuffer::from_repeated_length(1, rows),
            Arc::new(codes),
            None,
        );
        let ids = UInt64Array::from_iter_values(1..=rows as u64);
        let columns = vec![Arc::clone(&texts), texts, Arc::new(codes), Arc::new(ids)];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        masks.apply(Unmasked::new(batch.slice(3, rows - 3), 0)).unwrap()
    }

    fn sent(message: &Message) -> (Vec<Vec<u8>>, Arrived) {
        let (sent, mut pieces) = (message.pieces().unwrap(), Pieces::default());
        let (last, begun) = sent.split_last().unwrap();
        for piece in begun {
            assert!(pieces.add(piece).unwrap().is_none());
        }
        let arrived = pieces.add(last).unwrap().unwrap();
        (sent, arrived)
    }

    #[test]
    fn masked_records_arrive_as_they_were_sent_and_no_other_value_does() {
        let (source, masks) = of();
        let records = masked(&source, &masks, 40);
        let (bytes, arrived) = sent(&Message::Records(records.clone()));
        let whole = bytes.concat();
        let holds = |text: &[u8]| whole.windows(text.len()).any(|part| part == text);
        assert!(bytes.len() > 3 && holds(b"code 7") && !holds(b"CANARY"));
        let Arrived::Records { kind: 0, bytes } = arrived else {
            panic!("they are records of the first kind");
        };
        let arrived = super::records(0, &bytes, &masks).unwrap();
        assert_eq!(arrived.batch(), records.batch());
        // Bytes of other masks are no records of these.
        let other = source_of_other_masks();
        assert!(super::records(0, &bytes, &other).is_err());
        assert!(super::records(1, &bytes, &masks).is_err());
        assert!(super::records(0, &bytes[..bytes.len() / 2], &masks).is_err());
    }

    fn source_of_other_masks() -> Masks {
        let schema = vec![field("id", FieldType::Int, Privacy::default())];
        Masks::plan(&source("other", schema), &MaskKey::for_tests()).unwrap()
    }

    #[test]
    fn salvaged_records_and_the_end_arrive_as_they_were_sent() {
        let (source, masks) = of();
        let records = masked(&source, &masks, 9);
        let suppressed = vec![7, 1 << 40];
        let message = Message::Salvaged(Salvaged { records, suppressed });
        let (
            _,
            Arrived::Salvaged {
                kind: 0,
                suppressed,
                bytes,
            },
        ) = sent(&message)
        else {
            panic!("they are salvaged");
        };
        assert_eq!(suppressed, [7, 1 << 40]);
        assert_eq!(super::records(0, &bytes, &masks).unwrap().num_rows(), 6);
        let end = End {
            error: Some(Error::batch("it failed").code(Code::InputMissing)),
            report: PartReport::default(),
        };
        let (_, Arrived::End(end)) = sent(&Message::End(Box::new(end))) else {
            panic!("it is the end");
        };
        assert_eq!(end.error.unwrap().code, Code::InputMissing);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for piece in [
            &b""[..],
            &[LAST],
            &[LAST, b'x'],
            &[LAST, RECORDS, 0],
            &[LAST, SALVAGED, 0xff],
            &[LAST, END, b'{'],
        ] {
            assert!(Pieces::default().add(piece).is_err(), "{piece:?}");
        }
    }
}
