//! Stub until the renderers land.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    format!("{value:.2} {unit}")
}
pub(crate) fn ratio(value: f64) -> String {
    format!("{value:.2}×")
}
