//! A function of the engine with another way to be computed: its name, signature and type stay.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// How a wrapped function is computed.
pub(super) trait Wrapping: Debug + Eq + Hash + Send + Sync + 'static {
    fn invoke(inner: &ScalarUDF, arguments: ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// The same call, computed as `W` says.
pub(super) fn wrapped<W: Wrapping>(call: ScalarFunction) -> ScalarFunction {
    let function = Wrapped::<W> {
        inner: call.func,
        how: PhantomData,
    };
    ScalarFunction::new_udf(Arc::new(ScalarUDF::from(function)), call.args)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Wrapped<W> {
    inner: Arc<ScalarUDF>,
    how: PhantomData<W>,
}

impl<W: Wrapping> ScalarUDFImpl for Wrapped<W> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        W::invoke(&self.inner, arguments)
    }
}
