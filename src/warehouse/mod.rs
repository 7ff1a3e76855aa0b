//! warehouse
pub mod encode;
