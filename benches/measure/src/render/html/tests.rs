use std::collections::BTreeSet;

use super::*;
use crate::render::{markdown, sample, terminal};

#[test]
fn tags_are_balanced_and_attributes_quoted() {
    let page = html(&sample::report());
    assert_well_formed(&page);
}

#[test]
fn every_row_has_an_anchor_of_its_own_and_every_link_a_target() {
    let report = sample::report();
    let page = html(&report);
    let ids: Vec<&str> = values(&page, " id=\"");
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len());
    for row in &report.rows {
        assert!(distinct.contains(anchor(row).as_str()), "{}", row.id());
    }
    for link in values(&page, "href=\"#") {
        assert!(distinct.contains(link), "{link}");
    }
}

#[test]
fn names_are_text_and_never_html() {
    let mut report = sample::report();
    let hostile = "</title><script>\"'<&\">\u{7}";
    report.machine.cpu = hostile.to_owned();
    report.comparison.as_mut().unwrap().regressions[0].row = hostile.to_owned();
    for row in &mut report.rows {
        row.name = format!("{hostile}{}", row.name);
        row.suite = hostile.to_owned();
        row.note = Some(format!("{hostile} {}", row.id()));
        row.params.insert(hostile.to_owned(), hostile.into());
        row.limit_name = Some(hostile.to_owned());
        for stats in row.ours.iter_mut().chain(&mut row.peers) {
            stats.name += hostile;
        }
        for check in &mut row.checks {
            check.target = hostile.to_owned();
            check.measured = hostile.to_owned();
        }
    }
    let page = html(&report);
    assert_well_formed(&page);
    assert!(!page.contains("<script") && !page.contains("\"'"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn the_page_asks_for_nothing_from_elsewhere() {
    let page = html(&sample::report());
    for request in ["http", "//", "url(", "@import", "src=", "<script", "<link"] {
        assert!(!page.contains(request), "{request}");
    }
}

#[test]
fn nothing_that_is_not_a_number_is_printed() {
    let mut report = sample::report();
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
    for (row, bad) in report.rows.iter_mut().zip(bad.into_iter().cycle()) {
        row.ratio_best_peer = Some(bad);
        row.ratio_limit = Some(bad);
        row.limit = Some(bad);
        for stats in row.ours.iter_mut().chain(row.peers.iter_mut().take(2)) {
            stats.p50 = bad;
            stats.p99 = Some(bad);
            stats.spread = bad;
            stats.rounds[0].p50 = bad;
            stats.curve.push((1.0, bad));
        }
    }
    let page = html(&report);
    assert_well_formed(&page);
    for text in [page, markdown(&report), terminal(&report, 80, false)] {
        // "inf" is part of words, but no figure follows or precedes them directly.
        for broken in ["NaN", "inf ", "\"inf\"", "inf×", "inf,", ",inf"] {
            assert!(!text.contains(broken), "{broken}");
        }
    }
}

#[test]
fn an_empty_report_is_a_page_too() {
    let mut report = sample::report();
    report.rows.clear();
    report.limits.clear();
    report.criterion.clear();
    report.comparison = None;
    assert_well_formed(&html(&report));
    assert!(markdown(&report).contains("Targets met: 0 of 0"));
    assert!(terminal(&report, 80, false).contains("Targets met: 0 of 0"));
}

#[test]
fn one_row_without_parameters_is_shown() {
    let mut report = sample::report();
    report.rows.truncate(1);
    report.rows[0].params.clear();
    report.comparison = None;
    let page = html(&report);
    assert_well_formed(&page);
    let ids = values(&page, " id=\"");
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
}

#[test]
#[ignore = "writes the sample's reports to target/report-sample, to be looked at"]
fn write_the_samples_reports() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/report-sample");
    std::fs::create_dir_all(folder).unwrap();
    let report = sample::report();
    let files = [
        ("report.html", html(&report)),
        ("report.md", markdown(&report)),
        ("terminal-80.txt", terminal(&report, 80, true)),
        ("terminal-120.txt", terminal(&report, 120, true)),
    ];
    for (name, text) in files {
        std::fs::write(format!("{folder}/{name}"), text).unwrap();
    }
}

/// The values of all attributes that begin like this.
fn values<'a>(page: &'a str, begin: &str) -> Vec<&'a str> {
    page.split(begin).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Checks that each tag is closed by the one it was opened with, and that `<`, `>` and `&` are nothing but markup.
fn assert_well_formed(page: &str) {
    let page = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    let (before, rest) = page.split_once("<style>").unwrap();
    let (style, after) = rest.split_once("</style>").unwrap();
    assert!(!style.contains('<'));
    let page = [before, after].concat();
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("unclosed: {part}"));
        assert!(!text.contains('>'), "a stray > in {text}");
        assert_entities(text);
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {text}");
            continue;
        }
        let is_closed = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
        let outside: String = attributes.split('"').step_by(2).collect();
        let names = outside.split('=').map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<_> = names.collect();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{tag}");
        assert!(names.iter().all(|name| !name.contains(' ')), "{tag}");
        assert_entities(attributes);
        if !is_closed {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

fn assert_entities(text: &str) {
    for after in text.split('&').skip(1) {
        let entity = after.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "&{after}");
    }
}
