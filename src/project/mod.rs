//! The user's project: reads `pipeline.yaml`, `pipelines/*.yaml` and the SQL files into checked
//! types, reporting every problem at once. Pure: it never touches a network or a database.

mod model;

pub use model::*;
impl Project { pub fn entity(&self, name: &str) -> Option<&Entity> { self.entities.iter().find(|e| e.name == name) } }
pub fn did_you_mean<'a>(n: &str, i: impl Iterator<Item=&'a str>) -> Option<String> { i.map(|c| (strsim::levenshtein(n,c), c)).filter(|(d,_)| *d<=2).min().map(|(_,c)| format!("did you mean `{c}`?")) }
impl std::fmt::Display for PgType { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}", format!("{self:?}").to_lowercase()) } }
