//! `pipeline lsp`: a language server for the YAML and SQL files of projects. Diagnostics are those of `pipeline check`, over
//! the texts that the editor has not saved yet. Completions, hovers and definitions come from what the project declares.
//! It reads no data, opens no database but an empty one in memory, and changes no file: the editor does that.

mod answers;
mod diagnose;
mod documents;
mod projects;
mod protocol;
mod references;
mod server;
mod sql;
mod text;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

pub use server::serve;
