//! stub
use super::*;
pub async fn apply(_w: &Warehouse, _p: &crate::project::Project) -> crate::Result<Vec<String>> { Ok(vec![]) }
pub async fn refresh(_w: &Warehouse, _p: &crate::project::Project, _c: &[String]) -> crate::Result<Vec<String>> { Ok(vec![]) }
