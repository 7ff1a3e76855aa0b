//! stub
use super::*;
pub struct QColumn { pub name: String, pub is_number: bool }
impl QColumn { pub fn json(&self, v: Option<&str>) -> serde_json::Value { v.into() } }
pub struct QueryResult { pub columns: Vec<QColumn>, pub rows: Vec<Vec<Option<String>>> }
pub async fn query(w: &Warehouse, sql: &str) -> crate::Result<QueryResult> {
    let c = w.acquire().await?;
    let r = c.simple_query(sql).await.map_err(|e| error::db_error("the query failed", &e))?;
    let mut out = QueryResult { columns: vec![], rows: vec![] };
    for m in r { match m {
        tokio_postgres::SimpleQueryMessage::RowDescription(d) => out.columns = d.iter().map(|c| QColumn { name: c.name().into(), is_number: false }).collect(),
        tokio_postgres::SimpleQueryMessage::Row(r) => out.rows.push((0..r.len()).map(|i| r.get(i).map(ToOwned::to_owned)).collect()),
        _ => {} } }
    Ok(out)
}
