//! `with_ordinality(list)`: the elements of a list with their numbers, as PostgreSQL's `unnest(...) WITH ORDINALITY` has
//! them, which DataFusion does not plan.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{ArrowNativeType, DataType, Field, Fields};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `with_ordinality(list)`: a list of structs `item` and `ordinality`. The first element has the number 1.
pub(super) fn with_ordinality() -> ScalarUDF {
    ScalarUDF::from(WithOrdinality {
        signature: Signature::any(1, Volatility::Immutable),
        documentation: super::documented(
            "with_ordinality(list)",
            "The elements of a list with their numbers, counted from 1: a list of structs `item` and `ordinality`.",
        ),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WithOrdinality {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for WithOrdinality {
    fn name(&self) -> &'static str {
        "with_ordinality"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)] = arguments else {
            return plan_err!("with_ordinality takes a list");
        };
        Ok(numbered(item.data_type()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let list = args.args[0].to_array(args.number_rows)?;
        let DataType::List(field) = self.return_type(&[list.data_type().clone()])? else {
            return exec_err!("with_ordinality takes a list");
        };
        let DataType::Struct(fields) = field.data_type() else {
            return exec_err!("with_ordinality takes a list");
        };
        // Other kinds of lists become this one, whose elements stay as they are.
        let plain = DataType::List(Arc::new(Field::new_list_field(fields[0].data_type().clone(), true)));
        let list = cast(&list, &plain)?;
        let list = list.as_list::<i32>();
        let lengths: Vec<usize> = list.offsets().lengths().collect();
        let of_each = lengths.iter().flat_map(|length| (1_i64..).take(*length));
        let numbers = Int64Array::from_iter_values(of_each);
        let items = list.values().slice(list.offsets()[0].as_usize(), numbers.len());
        let elements = StructArray::try_new(fields.clone(), vec![items, Arc::new(numbers)], None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        let numbered = ListArray::try_new(field, offsets, Arc::new(elements), list.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(numbered) as ArrayRef))
    }
}

fn numbered(item: &DataType) -> DataType {
    let element = Fields::from(vec![
        Field::new("item", item.clone(), true),
        Field::new("ordinality", DataType::Int64, true),
    ]);
    DataType::List(Arc::new(Field::new_list_field(DataType::Struct(element), true)))
}
