//! Line charts, told apart by colour, dash and marker together, so that no reader needs the colours.

use super::axis::Axis;
use super::escaped;
use super::svg::{Anchor, CIRCLE, Svg, TICK, WIDTH, number, text_width};
use crate::render::figure::figure;

const TOP: f64 = 24.0;
const HEIGHT: f64 = 170.0;
const RIGHT: f64 = 10.0;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Ours,
    Limit,
    /// The others, by number.
    Other(usize),
}

impl Look {
    /// The style sheet has eight colours and four dashes.
    fn classes(self) -> String {
        match self {
            Self::Ours => "line ours".to_owned(),
            Self::Limit => "line limit".to_owned(),
            Self::Other(index) => format!("line c{} d{}", index % 8, index % 4),
        }
    }

    fn marker(self, (x, y): (f64, f64)) -> Option<(String, String)> {
        let at = |data: &str| format!("M{} {}{data}", number(x), number(y));
        Some(match self {
            Self::Ours => ("mark ours".to_owned(), at(CIRCLE)),
            Self::Limit => return None,
            Self::Other(index) => {
                let shape = match index % 6 {
                    0 => "m-3.2 -3.2h6.4v6.4h-6.4z",
                    1 => "m0 -4.2l4 7.2h-8z",
                    2 => "m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z",
                    3 => "m0 4.2l4 -7.2h-8z",
                    4 => "m-1.2 -4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z",
                    _ => CIRCLE,
                };
                (format!("mark c{}", index % 8), at(shape))
            }
        })
    }
}

/// One line. Positions along x are between 0 and 1.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) look: Look,
    pub(super) points: Vec<(f64, f64)>,
    /// Where markers are; not at every point of a dense line.
    pub(super) marks: Vec<(f64, f64)>,
    /// From where to where the rounds lie.
    pub(super) whiskers: Vec<(f64, f64, f64)>,
}

/// A chart without its series.
pub(super) struct Chart<'a> {
    /// In words, for those who do not see it.
    pub(super) label: &'a str,
    pub(super) x_title: &'a str,
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) y_title: &'a str,
    pub(super) y: Axis,
    pub(super) unit: &'a str,
}

/// The chart with its lines, and the legend below.
pub(super) fn lines(chart: &Chart<'_>, series: &[Series]) -> String {
    let widest = chart.y.ticks.iter().map(|tick| text_width(&figure(*tick, chart.unit), TICK));
    let left = widest.fold(20.0, f64::max) + 8.0;
    let bottom = TOP + HEIGHT;
    let x = |share: f64| left + share * (WIDTH - RIGHT - left);
    let y = |value: f64| bottom - chart.y.at(value) * HEIGHT;

    let mut svg = Svg::new();
    svg.text("tick", (0.0, 12.0), Anchor::Start, WIDTH, chart.y_title);
    // Labels nearer than a line's height would touch.
    let mut label_above = f64::INFINITY;
    for tick in &chart.y.ticks {
        svg.line("grid", (left, y(*tick)), (WIDTH - RIGHT, y(*tick)));
        if label_above - y(*tick) >= TICK + 2.0 {
            let text = figure(*tick, chart.unit);
            svg.text("tick", (left - 5.0, y(*tick) + 4.0), Anchor::End, WIDTH, &text);
            label_above = y(*tick);
        }
    }
    for (share, _) in &chart.x_ticks {
        svg.line("grid", (x(*share), TOP), (x(*share), bottom + 4.0));
    }
    svg.line("axis", (left, bottom), (WIDTH - RIGHT, bottom));
    let labels = chart.x_ticks.iter().map(|(share, text)| {
        let half = text_width(text, TICK) / 2.0;
        (x(*share).min(WIDTH - half), text.clone())
    });
    for (at, text) in super::axis::with_room(labels.collect()) {
        svg.text("tick", (at, bottom + 17.0), Anchor::Middle, WIDTH, &text);
    }
    let title_at = ((left + WIDTH - RIGHT) / 2.0, bottom + 35.0);
    svg.text("tick", title_at, Anchor::Middle, WIDTH - left, chart.x_title);

    // Ours last, so that it lies above the others.
    let (ours, others): (Vec<_>, Vec<_>) =
        series.iter().partition(|series| series.look == Look::Ours);
    for series in others.into_iter().chain(ours) {
        let points: Vec<_> = series.points.iter().map(|(at, value)| (x(*at), y(*value))).collect();
        svg.polyline(&series.look.classes(), &thinned(&points));
        for (at, low, high) in &series.whiskers {
            svg.line("whisker", (x(*at), y(*low)), (x(*at), y(*high)));
        }
        for (at, value) in &series.marks {
            if let Some((class, data)) = series.look.marker((x(*at), y(*value))) {
                let title = format!("{}: {}", series.name, figure(*value, chart.unit));
                svg.path(&class, &data, &title);
            }
        }
    }
    svg.finish(WIDTH, bottom + 42.0, chart.label) + &legend(series)
}

/// Without points nearer than one unit to the one before: nobody could see them, and pages grow by them.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let is_near = kept
            .last()
            .is_some_and(|last| (last.0 - point.0).abs() < 1.0 && (last.1 - point.1).abs() < 1.0);
        if !is_near || index + 1 == points.len() {
            kept.push(*point);
        }
    }
    kept
}

/// The legend is HTML, so that long names wrap.
fn legend(series: &[Series]) -> String {
    let mut text = String::from("<ul class=\"legend\">");
    for series in series {
        let mut svg = Svg::new();
        svg.line(&series.look.classes(), (0.0, 6.0), (34.0, 6.0));
        if let Some((class, data)) = series.look.marker((17.0, 6.0)) {
            svg.path(&class, &data, &series.name);
        }
        text += &format!(
            "<li>{}<span>{}</span></li>",
            svg.finish(34.0, 12.0, ""),
            escaped(&series.name)
        );
    }
    text + "</ul>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_nobody_could_see_are_left_out_but_not_the_last() {
        let points = [(0.0, 0.0), (0.1, 0.1), (2.0, 0.0), (2.2, 0.3)];
        assert_eq!(thinned(&points), [(0.0, 0.0), (2.0, 0.0), (2.2, 0.3)]);
    }

    #[test]
    fn the_first_eight_others_look_different_from_each_other() {
        let looks: std::collections::BTreeSet<_> =
            (0..8).map(|index| Look::Other(index).classes()).collect();
        assert_eq!(looks.len(), 8);
    }
}
