//! Aggregates that fail where DataFusion's give a wrong value: sums of whole numbers, decimals and durations wrap around,
//! and those of floats become Infinity or NaN.
//!
//! A sum is taken in a wider type, and its result brought back. So a sum that leaves the range of its type on the way, and
//! comes back, is right.

use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options, nullif};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use super::arithmetic::not_finite;
use crate::transform::failure::Beyond;

/// The same aggregate, checked; `None` where DataFusion's is right.
pub(super) fn checked(function: &Arc<AggregateUDF>, arguments: &[DataType]) -> Result<Option<Arc<AggregateUDF>>> {
    if function.inner().is::<Checked>() {
        return Ok(None);
    }
    let Some(wide) = needed(function.name(), arguments)? else {
        return Ok(None);
    };
    let checked = Checked {
        inner: Arc::clone(function),
        wide,
    };
    Ok(Some(Arc::new(AggregateUDF::new_from_impl(checked))))
}

/// The type in which to compute; `Some(None)` where only the result is checked.
#[expect(clippy::option_option, reason = "nothing to do, a check, or a check in another type")]
fn needed(function: &str, arguments: &[DataType]) -> Result<Option<Option<DataType>>> {
    /// Digits beyond those of a value: no batch has more than 10^10 rows.
    const OF_ROWS: u8 = 10;
    use DataType as T;
    let Some(of) = arguments.first() else { return Ok(None) };
    Ok(match (function, of) {
        ("sum", T::Int64 | T::UInt64) | ("sum" | "avg", T::Duration(_)) => Some(Some(T::Decimal128(20, 0))),
        ("sum", T::Decimal32(digits, scale) | T::Decimal64(digits, scale)) => {
            Some(Some(T::Decimal128(*digits, *scale)))
        }
        ("sum", T::Decimal128(digits, scale)) if digits + OF_ROWS > 38 => Some(Some(T::Decimal256(*digits, *scale))),
        ("sum", T::Decimal256(digits, _)) if digits + OF_ROWS > 76 => {
            return plan_err!("sum over DECIMAL({digits}) may leave the range of its type: cast to fewer digits");
        }
        ("sum", T::Interval(_)) => {
            return plan_err!("sum over INTERVAL may leave the range of its type: sum numbers, such as days");
        }
        (
            "sum" | "avg" | "corr" | "percentile_cont" | "var" | "var_pop" | "stddev" | "stddev_pop" | "covar_samp"
            | "covar_pop",
            _,
        ) if arguments.iter().any(DataType::is_floating) => Some(None),
        (name, _) if name.starts_with("regr_") && name != "regr_count" => Some(None),
        _ => None,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    inner: Arc<AggregateUDF>,
    wide: Option<DataType>,
}

impl Checked {
    /// Calls with the arguments that the inner function gets.
    fn with_inner<T>(
        &self,
        arguments: AccumulatorArgs<'_>,
        call: impl FnOnce(AccumulatorArgs<'_>) -> Result<T>,
    ) -> Result<T> {
        match &self.wide {
            None => call(arguments),
            Some(wide) => call(AccumulatorArgs {
                return_field: self.inner_result(&arguments.return_field)?,
                expr_fields: &[of_type(&arguments.expr_fields[0], wide.clone())],
                ..arguments
            }),
        }
    }

    fn inner_result(&self, outer: &FieldRef) -> Result<FieldRef> {
        Ok(match &self.wide {
            None => Arc::clone(outer),
            Some(wide) => of_type(outer, self.inner.return_type(std::slice::from_ref(wide))?),
        })
    }

    fn values(&self, arguments: &AccumulatorArgs<'_>) -> Values {
        Values {
            function: self.name().to_owned(),
            wide: self.wide.clone(),
            result: arguments.return_type().clone(),
            endless: false,
        }
    }

    fn accumulate(
        &self,
        arguments: AccumulatorArgs<'_>,
        make: impl FnOnce(AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>>,
    ) -> Result<Box<dyn Accumulator>> {
        let values = self.values(&arguments);
        let inner = self.with_inner(arguments, make)?;
        Ok(Box::new(One { inner, values }))
    }
}

fn of_type(field: &FieldRef, arrow: DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(arrow))
}

impl AggregateUDFImpl for Checked {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, parameters: &AggregateFunctionParams) -> Result<String> {
        self.inner.schema_name(parameters)
    }

    fn human_display(&self, parameters: &AggregateFunctionParams) -> Result<String> {
        self.inner.human_display(parameters)
    }

    fn window_function_schema_name(&self, parameters: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(parameters)
    }

    fn display_name(&self, parameters: &AggregateFunctionParams) -> Result<String> {
        self.inner.display_name(parameters)
    }

    fn window_function_display_name(&self, parameters: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_display_name(parameters)
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

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(arguments)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, arrow: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(arrow)
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.accumulate(arguments, |inner| self.inner.accumulator(inner))
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.accumulate(arguments, |inner| self.inner.create_sliding_accumulator(inner))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match &self.wide {
            None => self.inner.state_fields(arguments),
            Some(wide) => self.inner.state_fields(StateFieldsArgs {
                return_field: self.inner_result(&arguments.return_field)?,
                input_fields: &[of_type(&arguments.input_fields[0], wide.clone())],
                ..arguments
            }),
        }
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        self.with_inner(arguments, |inner| Ok(self.inner.groups_accumulator_supported(inner)))
            .unwrap_or(false)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let values = self.values(&arguments);
        let inner = self.with_inner(arguments, |inner| self.inner.create_groups_accumulator(inner))?;
        Ok(Box::new(Groups { inner, values }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_udf() {
            ReversedUDAF::Identical => ReversedUDAF::Identical,
            _ => ReversedUDAF::NotSupported,
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.is_descending()
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.inner.supports_within_group_clause()
    }

    fn set_monotonicity(&self, arrow: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(arrow)
    }
}

/// What goes into an aggregate, and what comes out.
#[derive(Debug, Clone)]
struct Values {
    function: String,
    wide: Option<DataType>,
    result: DataType,
    /// Whether Infinity or NaN went in. Then they may come out.
    endless: bool,
}

impl Values {
    fn widened(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let Some(wide) = &self.wide else {
            return Ok(values.to_vec());
        };
        let one = |values: &ArrayRef| match values.data_type() {
            DataType::Duration(_) => cast(&cast(values, &DataType::Int64)?, wide),
            _ => cast(values, wide),
        };
        Ok(values.iter().map(one).collect::<Result<_, _>>()?)
    }

    fn note(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            let endless = values.data_type().is_floating() && !not_finite(values)?.is_empty();
            self.endless |= endless;
        }
        Ok(())
    }

    /// The state of an aggregate may be a float that is too large already.
    fn checked_state(&self, state: Vec<ArrayRef>) -> Result<Vec<ArrayRef>> {
        for values in &state {
            if !self.endless && values.data_type().is_floating() && !not_finite(values)?.is_empty() {
                return Err(self.beyond());
            }
        }
        Ok(state)
    }

    fn narrowed(&self, result: ArrayRef) -> Result<ArrayRef> {
        if self.wide.is_some() {
            let strict = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            let narrow =
                |values: &ArrayRef, to: &DataType| cast_with_options(values, to, &strict).map_err(|_| self.beyond());
            return match &self.result {
                to @ DataType::Duration(_) => narrow(&narrow(&result, &DataType::Int64)?, to),
                to => narrow(&result, to),
            };
        }
        if self.endless || !result.data_type().is_floating() {
            return Ok(result);
        }
        let wrong = not_finite(&result)?;
        if wrong.is_empty() {
            return Ok(result);
        }
        if self.function == "corr" {
            // Of one pair, which has no correlation, DataFusion says NaN. In PostgreSQL it is null.
            let nan: BooleanArray = (0..result.len())
                .map(|row| Some(wrong.binary_search(&row).is_ok()))
                .collect();
            return Ok(nullif(&result, &nan)?);
        }
        Err(self.beyond())
    }

    fn beyond(&self) -> DataFusionError {
        DataFusionError::External(Box::new(Beyond {
            function: self.function.clone(),
            to: self.result.clone(),
        }))
    }
}

/// An aggregate over one group, or over a window.
#[derive(Debug)]
struct One {
    inner: Box<dyn Accumulator>,
    values: Values,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.note(values)?;
        self.inner.update_batch(&self.values.widened(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.values.widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&self.values.narrowed(result)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.inner.state()?;
        let arrays = state.iter().map(ScalarValue::to_array).collect::<Result<_>>()?;
        self.values.checked_state(arrays)?;
        Ok(state)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.note(states)?;
        self.inner.merge_batch(states)
    }

    fn size(&self) -> usize {
        self.inner.size() + size_of::<Values>()
    }
}

/// An aggregate over many groups.
struct Groups {
    inner: Box<dyn GroupsAccumulator>,
    values: Values,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.values.note(values)?;
        let values = self.values.widened(values)?;
        self.inner.update_batch(&values, groups, filter, count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let result = self.inner.evaluate(emit_to)?;
        self.values.narrowed(result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let state = self.inner.state(emit_to)?;
        self.values.checked_state(state)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.values.note(values)?;
        self.inner.merge_batch(values, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.values.widened(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size() + size_of::<Values>()
    }
}
