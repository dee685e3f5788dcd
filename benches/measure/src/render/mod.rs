//! Stub until the renderers land.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    format!("{value:.2} {unit}")
}
pub(crate) fn ratio(value: f64) -> String {
    format!("{value:.2}×")
}
/// Stub.
pub fn html(_: &crate::Report) -> String {
    String::new()
}
/// Stub.
pub fn markdown(_: &crate::Report) -> String {
    String::new()
}
/// Stub.
pub fn update(old: &str, _: &crate::Report) -> Result<String, String> {
    Ok(old.to_owned())
}
/// Stub.
pub fn terminal(report: &crate::Report, _: usize, _: bool) -> String {
    let mut text = String::new();
    for row in &report.rows {
        let ours = row.ours.as_ref().map_or(0.0, |it| it.p50);
        let p99 = row.ours.as_ref().and_then(|it| it.p99).unwrap_or(0.0);
        let spread = row.ours.as_ref().map_or(0.0, |it| it.spread);
        text += &format!(
            "{:70} {ours:12.2} p99 {p99:10.0} {} ±{:.0}% ×best {:?} {:?} ×limit {:?} {:?} {:?}\n",
            row.id(),
            row.unit,
            spread * 100.0,
            row.ratio_best_peer,
            row.best_peer,
            row.ratio_limit,
            row.target,
            row.met
        );
    }
    for l in &report.limits {
        text += &format!(
            "{} {} {:.2} p99 {:?} ±{:.0}%\n",
            l.name,
            l.unit,
            l.stats.p50,
            l.stats.p99,
            l.stats.spread * 100.0
        );
    }
    text += &format!("{:#?} {}", report.comparison, report.made.seconds);
    text
}
