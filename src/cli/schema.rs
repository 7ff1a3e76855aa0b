//! `pipeline schema`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Global;
use crate::error::Result;
use crate::project::{self, YamlKind};
use crate::report;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The kind of YAML file [default: all of them, in one JSON object]
    kind: Option<Kind>,
    /// Write the schemas as files into this folder, over older ones, instead of printing them
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// pipeline.yaml
    Project,
    /// pipelines/<name>.yaml
    Source,
    /// sql/<source>/tests/<name>.yaml
    Tests,
    /// A file of fields that schemas share by `use`
    Fields,
    /// A file of kinds that sources share by `use`
    Kinds,
}

impl From<Kind> for YamlKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Project => Self::Project,
            Kind::Source => Self::Source,
            Kind::Tests => Self::Tests,
            Kind::Fields => Self::Fields,
            Kind::Kinds => Self::Kinds,
        }
    }
}

pub(super) fn execute(global: &Global, arguments: &Arguments) -> Result<u8> {
    let json = global.json()?;
    let one = arguments.kind.map(YamlKind::from);
    if let Some(folder) = &arguments.into {
        let kinds = one.map_or_else(|| YamlKind::ALL.to_vec(), |kind| vec![kind]);
        let written = project::write_schemas(folder, &kinds)?;
        let shown: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
        report::done("written", &shown, "", json);
        return Ok(0);
    }
    report::data(&project::schema_text(one));
    Ok(0)
}
