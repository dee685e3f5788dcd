//! The report as one HTML page, which needs nothing but itself: no script, no font, no other file.

mod axis;
mod bars;
mod latency;
mod lines;
mod overview;
mod scaling;
mod scenario;
mod svg;
mod tables;

use super::figure::date;
use super::outline::{Suite, suites};
use crate::{Report, Row};

/// The report as one HTML page.
///
/// What was missed comes first, then each scenario with its table and its plots. What is too much to look at in one go is
/// folded, not left out. The page is well-formed XML too, apart from its document type.
pub fn html(report: &Report) -> String {
    let suites = suites(report);
    let title = format!("Queenright benchmark report, {}", date(report.made.at));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/><title>{title}</title>\
         <style>{}</style></head><body>\n",
        include_str!("style.css")
    );
    page += "<header id=\"top\"><h1>Queenright benchmark report</h1>";
    page += &overview::facts(report);
    page += "</header><main>\n";
    page += &overview::glance(report, &suites);
    page += &overview::comparison(report);
    page += &overview::index(&suites);
    page += &overview::missed_targets(&suites);
    page += &overview::limits(report);
    page += READING;
    for suite in &suites {
        page += &suite_section(suite);
    }
    page += &overview::criterion(report);
    page + "</main></body></html>\n"
}

/// How the words and marks of the page are meant.
const READING: &str = "<details class=\"reading\"><summary>How to read this page</summary><ul>\
    <li><b>× best peer</b>: how many times better ours is than the peer with the best p50: 2× is twice as good, 0.5× half \
    as good. Within 5 % is level.</li>\
    <li><b>× limit</b>: how many times the limit ours costs: 1× is at the limit.</li>\
    <li><b>±</b>: half the distance between the lowest and the highest round&#39;s p50, as a share of p50. Contenders take \
    turns, so that drift of the machine falls on all of them.</li>\
    <li><b>Sample</b>: an <i>operation</i> is one operation timed alone, with the clock&#39;s own cost in it; a <i>block</i> \
    is the mean of many operations, so it has no percentiles; a <i>window</i> is the mean over a time in which \
    several threads worked; a <i>value</i> is one reading.</li>\
    <li><b>Windows</b>: kept / preempted / unfair. Only kept ones are in the figures, unless there were none.</li>\
    </ul></details>\n";

fn suite_section(suite: &Suite<'_>) -> String {
    let mut section = format!(
        "<section class=\"suite\"><h2 id=\"{}\">{}</h2>\n",
        slug(suite.name),
        escaped(suite.name)
    );
    for scenario in &suite.scenarios {
        section += &scenario::section(suite.name, scenario);
    }
    section + "</section>\n"
}

/// Text in which HTML finds neither tags nor entities, also in an attribute's value.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            // Not allowed in HTML, not even escaped.
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// What links to a row refer to.
fn anchor(row: &Row) -> String {
    slug(&row.id())
}

/// The text as an identifier that needs no escaping.
fn slug(text: &str) -> String {
    let is_kept = |character: char| character.is_ascii_alphanumeric() || "_.".contains(character);
    let slug: String =
        text.chars().map(|character| if is_kept(character) { character } else { '-' }).collect();
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests;
