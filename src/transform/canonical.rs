//! Brings values that PostgreSQL holds equal to one form. Otherwise rows of one key would not be neighbours after the
//! sort, and the server would find them when it builds the key's index, which fails the batch.
//!
//! - A UUID has several spellings. PostgreSQL keeps none of them, so all columns of type `uuid` are changed.
//! - A whole number in a floating-point column is stored as such a number, and is compared as one.
//! - `-0.0` equals `0.0`. PostgreSQL keeps both, so only columns of the key are changed.
//! - Timestamps finer than a microsecond are cut off when they are stored. In a key this happens before the sort.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType,
};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::model::PgType;
use crate::model::uuid_text::{parse_uuid, uuid_text};

const NANOS_PER_MICRO: i64 = 1_000;

/// The column in the form in which PostgreSQL keeps it. `None`: it has this form already. A text that is no UUID stays
/// as it is, and is refused later.
pub(super) fn stored(column: Expr, pg_type: PgType, arrow: &DataType) -> Option<Expr> {
    let is_text = match arrow {
        DataType::Dictionary(_, values) => values.is_string(),
        other => other.is_string(),
    };
    match pg_type {
        PgType::Uuid if is_text => Some(call(column, Form::Uuid)),
        PgType::Float4 if arrow.is_integer() => Some(datafusion::logical_expr::cast(column, DataType::Float32)),
        PgType::Float8 if arrow.is_integer() => Some(datafusion::logical_expr::cast(column, DataType::Float64)),
        _ => None,
    }
}

/// The column in a form in which values that PostgreSQL compares as equal have the same bytes. `None`: they have already.
/// The column must have gone through [`stored`].
pub(super) fn comparable(column: Expr, arrow: &DataType) -> Option<Expr> {
    let form = match arrow {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Form::Zero,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Form::Micros,
        _ => return None,
    };
    Some(call(column, form))
}

fn call(column: Expr, form: Form) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(Canonical { form, signature }).call(vec![column])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Uuid,
    /// `0.0` in place of `-0.0`.
    Zero,
    /// Microseconds, rounded down.
    Micros,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Canonical {
    form: Form,
    signature: Signature,
}

impl ScalarUDFImpl for Canonical {
    fn name(&self) -> &str {
        match self.form {
            Form::Uuid => "_canonical_uuid",
            Form::Zero => "_canonical_zero",
            Form::Micros => "_canonical_micros",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match (self.form, arguments) {
            (Form::Uuid, _) => DataType::Utf8,
            (Form::Micros, [DataType::Timestamp(_, zone)]) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            (_, [same]) => same.clone(),
            _ => return internal_err!("{} takes one argument", self.name()),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let array = match self.form {
            Form::Uuid => uuids(&array)?,
            Form::Zero => zeros(&array)?,
            // A plan is made in nanoseconds first and brought to microseconds later (`exact`).
            Form::Micros if !matches!(array.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
                cast(&array, args.return_type())?
            }
            Form::Micros => micros(&array, args.return_type()),
        };
        Ok(ColumnarValue::Array(array))
    }
}

fn uuids(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8)?;
    let texts: &StringArray = texts.as_string();
    let canonical: StringArray = texts
        .iter()
        .map(|text| text.map(|text| parse_uuid(text).map_or_else(|| text.to_owned(), uuid_text)))
        .collect();
    Ok(Arc::new(canonical))
}

fn zeros(array: &ArrayRef) -> Result<ArrayRef> {
    // Adding a zero changes no number but -0.0 (IEEE 754, 6.3).
    Ok(match array.data_type() {
        DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float64Type>(|x| x + 0.0)),
        DataType::Float32 => Arc::new(array.as_primitive::<Float32Type>().unary::<_, Float32Type>(|x| x + 0.0)),
        DataType::Float16 => {
            let halves = array.as_primitive::<Float16Type>();
            Arc::new(halves.unary::<_, Float16Type>(|half| {
                if half.to_bits() == 1 << 15 {
                    <Float16Type as ArrowPrimitiveType>::Native::default()
                } else {
                    half
                }
            }))
        }
        other => return internal_err!("{other} is no floating-point type"),
    })
}

fn micros(array: &ArrayRef, target: &DataType) -> ArrayRef {
    let nanos = array.as_primitive::<TimestampNanosecondType>();
    let micros: TimestampMicrosecondArray =
        nanos.unary::<_, TimestampMicrosecondType>(|nanos| nanos.div_euclid(NANOS_PER_MICRO));
    Arc::new(micros.with_data_type(target.clone()))
}
