//! Prints what `pipeline doctor` has found.

use serde_json::json;

use super::data;
use crate::doctor::{Finding, State, exit_code};

/// Prints the findings, each with its remedy, and returns the exit code.
pub fn doctor(findings: &[Finding], as_json: bool) -> u8 {
    let count = |state| findings.iter().filter(|one| one.state == state).count();
    let (ok, warn, fail) = (count(State::Ok), count(State::Warn), count(State::Fail));
    if as_json {
        let checks = findings.iter().map(|one| {
            json!({
                "check": one.name,
                "state": name(one.state),
                "detail": one.detail,
                "remedy": one.remedy,
            })
        });
        let checks: Vec<_> = checks.collect();
        data(&json!({"checks": checks, "ok": ok, "warn": warn, "fail": fail}).to_string());
        return exit_code(findings);
    }
    for one in findings {
        data(&format!("{:4}  {:11}  {}", name(one.state), one.name, one.detail));
        if let Some(remedy) = one.remedy.as_ref().filter(|_| one.state != State::Ok) {
            data(&format!("{:19}hint: {remedy}", ""));
        }
    }
    data(&format!("{ok} ok, {warn} warn, {fail} fail"));
    exit_code(findings)
}

fn name(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "fail",
    }
}
