//! Output for programs. Its form is documented in `docs/COMMAND.md`; fields are added, never changed.

use queenright::packs::{Conflict, Diagnostic, Explanation, Report, to_json};
use serde_json::{Value as Json, json};

/// The number of the form. It grows when a field changes its meaning.
pub(crate) const FORMAT: u32 = 1;

pub(crate) fn pretty(value: &Json) -> String {
    // Cannot fail: every map has text as keys.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

pub(crate) fn report(report: &Report) -> String {
    let inactive: Vec<Json> = report
        .inactive
        .iter()
        .map(|pack| {
            json!({
                "pack": pack.pack,
                "key": pack.key.as_str(),
                "expected": pack.expected.to_string(),
                "found": pack.found.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let series: Vec<Json> = report
        .series
        .iter()
        .map(|package| {
            let needed = package.needed.iter().map(|(series, requirement, packs)| {
                json!({ "series": series, "requirement": requirement, "packs": packs })
            });
            json!({ "package": package.name, "needed": needed.collect::<Vec<_>>() })
        })
        .collect();
    pretty(&json!({
        "format": FORMAT,
        "resolved": report.is_resolved(),
        "hive": report.hive,
        "seed": report.seed,
        "packs": report.packs,
        "agents": report.agents,
        "rounds": report.rounds,
        "proposals": report.proposals,
        "accepted": report.accepted,
        "refused": report.refused,
        "waiting": report.waiting,
        "conflicts": report.conflicts.iter().map(conflict).collect::<Vec<_>>(),
        "inactive": inactive,
        "series": series,
        "warnings": report.warnings.iter().map(diagnostic).collect::<Vec<_>>(),
        "configuration": to_json(report),
    }))
}

pub(crate) fn explanation(explanation: &Explanation) -> String {
    let steps = explanation.steps.iter().map(|step| {
        json!({ "round": step.round, "pack": step.pack, "operation": step.op, "refused": step.refused })
    });
    pretty(&json!({
        "format": FORMAT,
        "key": explanation.key.as_str(),
        "value": explanation.value.as_ref().map(ToString::to_string),
        "policy": explanation.policy.name(),
        "steps": steps.collect::<Vec<_>>(),
        "conflicts": explanation.conflicts.iter().map(conflict).collect::<Vec<_>>(),
    }))
}

pub(crate) fn faults(faults: &[Diagnostic]) -> String {
    pretty(
        &json!({ "format": FORMAT, "errors": faults.iter().map(diagnostic).collect::<Vec<_>>() }),
    )
}

/// A failure that is about no file.
pub(crate) fn failure(message: &str) -> String {
    let error =
        json!({ "file": null, "line": null, "column": null, "message": message, "help": "" });
    pretty(&json!({ "format": FORMAT, "errors": [error] }))
}

fn conflict(conflict: &Conflict) -> Json {
    json!({
        "kind": conflict.kind.name(),
        "key": conflict.key.as_str(),
        "winners": conflict.winners.packs,
        "jointly": conflict.winners.jointly,
        "held": conflict.held,
        "loser": conflict.loser,
        "wanted": conflict.wanted,
        "rule": conflict.rule,
        "resolved_by": conflict.resolved_by.map(|policy| policy.name()),
        "file": conflict.file,
        "line": conflict.at.line,
        "column": conflict.at.column,
        "advice": conflict.advice,
    })
}

fn diagnostic(diagnostic: &Diagnostic) -> Json {
    json!({
        "file": diagnostic.file,
        "line": diagnostic.at.map(|(line, _)| line),
        "column": diagnostic.at.map(|(_, column)| column),
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}
