//! Chooses the encoding of a column from its Arrow type and its type in the contract. This is done when the plan is
//! made, and again when a stage starts, never per cell.

use arrow::datatypes::DataType;

use super::numeric::Numeric;
use super::texts::Texts;
use crate::model::PgType;
use crate::warehouse::schema::type_name;

/// The encoding of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// The column has no value at all.
    Null,
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric(Numeric),
    Date,
    Timestamp,
    /// The limit is a number of characters.
    Text(Option<u32>),
    Json,
    Uuid,
    TextArray,
}

/// Checks, when a plan is made, whether a column of this Arrow type fits a column of this PostgreSQL type without
/// loss. What depends on the single value (a text's length, a decimal's digits, whether a text is JSON) is checked
/// per row.
///
/// The error continues a sentence that names the column: "is Int64, the contract says integer: CAST(... AS INT)".
pub fn accepts(arrow: &DataType, pg: &PgType) -> Result<(), String> {
    match Codec::choose(arrow, *pg) {
        Some(codec) if !narrows(arrow, codec) => Ok(()),
        _ => Err(format!(
            "is {arrow}, the contract says {}: {}",
            type_name(*pg),
            remedy(arrow, *pg)
        )),
    }
}

impl Codec {
    /// `None` where the PostgreSQL type can't hold the Arrow type's values without loss.
    pub(super) fn choose(arrow: &DataType, pg: PgType) -> Option<Self> {
        use DataType as A;
        if arrow == &A::Null {
            return Some(Self::Null);
        }
        let whole = arrow.is_integer();
        let codec = match pg {
            PgType::Bool if arrow == &A::Boolean => Self::Bool,
            PgType::Int2 if whole => Self::Int2,
            PgType::Int4 if whole => Self::Int4,
            PgType::Int8 if whole => Self::Int8,
            PgType::Float4 if matches!(arrow, A::Float16 | A::Float32) || bits(arrow) <= 16 => Self::Float4,
            PgType::Float8 if arrow.is_floating() || bits(arrow) <= 32 => Self::Float8,
            PgType::Numeric(declared) if whole => Self::Numeric(Numeric::new(0, declared)),
            PgType::Numeric(declared) => match arrow {
                A::Decimal32(_, scale) | A::Decimal64(_, scale) | A::Decimal128(_, scale) | A::Decimal256(_, scale) => {
                    Self::Numeric(Numeric::new(*scale, declared))
                }
                _ => return None,
            },
            PgType::Date if matches!(arrow, A::Date32 | A::Date64) => Self::Date,
            PgType::Timestamp if matches!(arrow, A::Timestamp(_, None)) => Self::Timestamp,
            PgType::TimestampTz if matches!(arrow, A::Timestamp(_, Some(_))) => Self::Timestamp,
            PgType::Text if Texts::accepts(arrow) => Self::Text(None),
            PgType::Varchar(limit) if Texts::accepts(arrow) => Self::Text(limit),
            PgType::Jsonb if Texts::accepts(arrow) => Self::Json,
            PgType::Uuid if Texts::accepts(arrow) || arrow == &A::FixedSizeBinary(16) => Self::Uuid,
            PgType::TextArray => match arrow {
                A::List(item) | A::LargeList(item)
                    if item.data_type() == &A::Null || Texts::accepts(item.data_type()) =>
                {
                    Self::TextArray
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(codec)
    }
}

/// The number of bits that an integer type needs; more than any integer has where the type is not an integer. An
/// unsigned type needs one more bit for the sign. Floating-point types are wide enough either way.
fn bits(arrow: &DataType) -> u32 {
    match arrow {
        DataType::Int8 | DataType::UInt8 => 8,
        DataType::Int16 | DataType::UInt16 => 16,
        DataType::Int32 | DataType::UInt32 => 32,
        _ => u32::MAX,
    }
}

/// Whether the Arrow type is an integer type that is wider than the column. Single values could fit, but a plan that
/// relies on that is refused. UInt64 into int8 is allowed: DataFusion counts in UInt64 (row_number), and PostgreSQL
/// has nothing wider.
fn narrows(arrow: &DataType, codec: Codec) -> bool {
    use DataType as A;
    match codec {
        Codec::Int2 => !matches!(arrow, A::Int8 | A::Int16 | A::UInt8),
        Codec::Int4 => matches!(arrow, A::Int64 | A::UInt32 | A::UInt64),
        _ => false,
    }
}

fn remedy(arrow: &DataType, pg: PgType) -> String {
    use DataType as A;
    match (arrow, pg) {
        (A::Struct(_) | A::List(_) | A::LargeList(_) | A::Map(..), PgType::Jsonb) => {
            "jsonb takes a text that is JSON; declare the field as `type: json`".to_owned()
        }
        (A::Struct(_), _) => "select one of its fields: column['field']".to_owned(),
        (A::List(_) | A::LargeList(_), _) => "unnest it, or select one element: column[1]".to_owned(),
        (_, PgType::TextArray) => "make_array(...) of texts".to_owned(),
        (A::Timestamp(_, None), PgType::TimestampTz) => "say which zone it is in: (...) AT TIME ZONE 'UTC'".to_owned(),
        // DataFusion casts to a TIMESTAMPTZ without a zone, which would be refused again.
        (text, PgType::TimestampTz) if Texts::accepts(text) => "parse_timestamp(...) AT TIME ZONE 'UTC'".to_owned(),
        (_, PgType::TimestampTz) => "CAST(... AS TIMESTAMP) AT TIME ZONE 'UTC'".to_owned(),
        _ => format!("CAST(... AS {})", datafusion_type(pg)),
    }
}

/// The type's name in DataFusion's SQL.
fn datafusion_type(pg: PgType) -> String {
    match pg {
        PgType::Text | PgType::Varchar(_) | PgType::Jsonb | PgType::Uuid | PgType::TextArray => "VARCHAR".to_owned(),
        PgType::Bool => "BOOLEAN".to_owned(),
        PgType::Int2 => "SMALLINT".to_owned(),
        PgType::Int4 => "INT".to_owned(),
        PgType::Int8 => "BIGINT".to_owned(),
        PgType::Float4 => "REAL".to_owned(),
        PgType::Float8 => "DOUBLE".to_owned(),
        PgType::Numeric(Some((precision, scale))) => format!("DECIMAL({precision},{scale})"),
        PgType::Numeric(None) => "DECIMAL(38,10)".to_owned(),
        PgType::Date => "DATE".to_owned(),
        PgType::Timestamp => "TIMESTAMP".to_owned(),
        PgType::TimestampTz => "TIMESTAMPTZ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn what_fits() {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, true)));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for (arrow, pg) in [
            (DataType::Utf8, PgType::Text),
            (DataType::LargeUtf8, PgType::Varchar(Some(3))),
            (DataType::Utf8View, PgType::Jsonb),
            (dictionary, PgType::Uuid),
            (DataType::FixedSizeBinary(16), PgType::Uuid),
            (DataType::Int16, PgType::Int2),
            (DataType::UInt16, PgType::Int4),
            (DataType::UInt64, PgType::Int8),
            (DataType::Int64, PgType::Numeric(Some((5, 2)))),
            (DataType::Decimal256(70, 3), PgType::Numeric(None)),
            (DataType::Float32, PgType::Float8),
            (DataType::Int32, PgType::Float8),
            (DataType::Date64, PgType::Date),
            (
                DataType::Timestamp(TimeUnit::Second, Some("+02:00".into())),
                PgType::TimestampTz,
            ),
            (list(DataType::Utf8View), PgType::TextArray),
            (list(DataType::Null), PgType::TextArray),
            (DataType::Null, PgType::Bool),
        ] {
            assert_eq!(accepts(&arrow, &pg), Ok(()), "{arrow} {pg:?}");
        }
    }

    #[test]
    fn what_does_not_says_what_to_write() {
        let says = |arrow: &DataType, pg| accepts(arrow, &pg).unwrap_err();
        assert_eq!(
            says(&DataType::Int64, PgType::Int4),
            "is Int64, the contract says integer: CAST(... AS INT)"
        );
        assert_eq!(
            says(&DataType::Float64, PgType::Numeric(Some((10, 2)))),
            "is Float64, the contract says numeric(10,2): CAST(... AS DECIMAL(10,2))"
        );
        let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert!(says(&naive, PgType::TimestampTz).contains("which zone"));
        for (arrow, pg) in [
            (DataType::Float64, PgType::Float4),
            (DataType::Int64, PgType::Float8),
            (DataType::Int32, PgType::Float4),
            (DataType::UInt32, PgType::Int4),
            (DataType::Utf8, PgType::Date),
            (DataType::Int32, PgType::Text),
            (DataType::Boolean, PgType::Int4),
            (DataType::FixedSizeBinary(15), PgType::Uuid),
        ] {
            assert!(accepts(&arrow, &pg).is_err(), "{arrow} {pg:?}");
        }
    }
}
