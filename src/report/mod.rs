//! report

pub mod diagnostics;
