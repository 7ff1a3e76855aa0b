//! The only place that builds a DataFusion session, so that functions, limits and options are the same for planning
//! and running.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider,
};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::cast_names::CastNames;
use super::exact::{ExactValues, Types};
use super::functions;
use super::list_fields::ListFields;
use super::memory::{Memory, Share};
use super::sort::SortByKeys;
use super::struct_fields::LookUp;
use super::unnest::SliceElements;
use super::wording::words;
use crate::error::{Error, Result};

/// The resources that all transforms of a process share.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes that sorts, joins and aggregates may hold before they spill.
    pub memory: usize,
    /// How many transforms run at once. Each has a part of the memory for itself, and at least a few MB. Without that, the
    /// first transform to merge its spilled runs would take everything, and the others would fail.
    pub at_once: usize,
    /// The folder to spill to. Without one, a transform that runs out of memory fails.
    pub spill: Option<PathBuf>,
}

/// DataFusion, set up for transforms.
#[derive(Debug, Clone)]
pub struct Engine {
    state: SessionState,
    memory: Memory,
}

impl Engine {
    /// Builds the engine.
    pub fn new(limits: &Limits) -> Result<Self> {
        let spill = match &limits.spill {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let memory = Memory::new(limits.memory, limits.at_once);
        let runtime = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spill))
            .build_arc()
            .map_err(|e| Error::project("the SQL engine can't be set up").cause(words(&e)))?;
        // One partition is enough: a batch's entities run concurrently, and so do batches.
        let mut config = SessionConfig::new()
            .with_target_partitions(1)
            .with_information_schema(false);
        let options = config.options_mut();
        // Every sort reserves this memory from its first row on. DataFusion's default of 10 MB would leave nothing of
        // a small share to sort in.
        options.execution.sort_spill_reservation_bytes = (memory.share / 16).clamp(1 << 20, 10 << 20);
        options.sql_parser.collect_spans = true;
        options.sql_parser.enable_options_value_normalization = false;
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_expr_planners(vec![Arc::new(LookUp)])
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(SortByKeys))
            .with_physical_optimizer_rule(Arc::new(SliceElements))
            .with_analyzer_rule(Arc::new(ExactValues))
            .with_type_planner(Arc::new(Types));
        // The first planner that knows an expression decides.
        let planners = builder.expr_planners().get_or_insert_default();
        planners.insert(0, Arc::new(ListFields));
        planners.insert(0, Arc::new(CastNames));
        let state = builder.build();
        let mut context = SessionContext::new_with_state(state);
        functions::register_all(&mut context)?;
        let state = context.state();
        Ok(Self { state, memory })
    }

    /// The context for running one plan. Each has its own share of the memory; everything else is common.
    pub(super) fn task(&self) -> Result<TaskContext, DataFusionError> {
        let runtime = RuntimeEnvBuilder::from_runtime_env(self.state.runtime_env())
            .with_memory_pool(Arc::new(self.memory.of_one()))
            .build_arc()?;
        let config = self
            .state
            .config()
            .clone()
            .with_extension(Arc::new(Share(self.memory.share)));
        Ok(TaskContext::from(&self.state)
            .with_session_config(config)
            .with_runtime(runtime))
    }

    /// A session that contains exactly these tables, all empty. It is for planning only.
    pub(crate) fn session_over(&self, tables: impl IntoIterator<Item = (String, SchemaRef)>) -> Result<SessionState> {
        let failed = |e: DataFusionError| Error::project("the SQL engine can't be set up").cause(words(&e));
        let names = &self.state.config_options().catalog;
        let (schema, catalog) = (MemorySchemaProvider::new(), MemoryCatalogProvider::new());
        let catalogs = MemoryCatalogProviderList::new();
        for (name, columns) in tables {
            schema
                .register_table(name, Arc::new(EmptyTable::new(columns)))
                .map_err(failed)?;
        }
        catalog
            .register_schema(&names.default_schema, Arc::new(schema))
            .map_err(failed)?;
        catalogs.register_catalog(names.default_catalog.clone(), Arc::new(catalog));
        Ok(SessionStateBuilder::new_from_existing(self.state.clone())
            .with_catalog_list(Arc::new(catalogs))
            .build())
    }

    /// The session for planning and running prepared plans.
    pub(super) fn state(&self) -> &SessionState {
        &self.state
    }
}
