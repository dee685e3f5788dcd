//! Ours beside the peers: one bar for each, its label on a line of its own above it.

use super::axis::{Axis, with_room};
use super::svg::{Anchor, LABEL, Svg, TICK, WIDTH, text_width};
use crate::render::figure::{figure, percent};
use crate::{Better, Stats};

const EDGE: f64 = 6.0;
const PITCH: f64 = 36.0;
const BAR: f64 = 11.0;

/// One bar.
pub(super) struct Bar<'a> {
    pub(super) label: String,
    pub(super) is_ours: bool,
    pub(super) stats: &'a Stats,
}

/// What all bars of a chart have in common.
pub(super) struct Measure<'a> {
    pub(super) unit: &'a str,
    pub(super) better: Better,
    pub(super) limit: Option<f64>,
}

/// Bars on one axis, in the order given.
pub(super) struct Chart<'a> {
    bars: Vec<Bar<'a>>,
    measure: Measure<'a>,
    axis: Axis,
}

impl<'a> Chart<'a> {
    pub(super) fn new(bars: Vec<Bar<'a>>, measure: Measure<'a>) -> Self {
        let values: Vec<f64> = bars.iter().flat_map(|bar| extremes(bar.stats)).collect();
        let mut axis = Axis::suited(&values, measure.unit);
        if let Some(limit) =
            measure.limit.filter(|limit| !axis.holds(*limit) && is_near(*limit, &values))
        {
            let with_limit: Vec<f64> = values.into_iter().chain([limit]).collect();
            axis = Axis::suited(&with_limit, measure.unit);
        }
        Self { bars, measure, axis }
    }

    /// The limit, unless it lies so far from all bars that it would press them together.
    pub(super) fn shown_limit(&self) -> Option<f64> {
        self.measure.limit.filter(|limit| self.axis.holds(*limit))
    }

    /// The image; `label` says in words what it shows.
    ///
    /// On a logarithmic axis there is no zero that a bar could grow from, so a dot at the end of a thin line stands for
    /// it.
    pub(super) fn svg(&self, label: &str) -> String {
        let mut svg = Svg::new();
        for (index, bar) in self.bars.iter().enumerate() {
            let top = index as f64 * PITCH;
            self.bar(&mut svg, bar, top);
            if let Some(limit) = self.shown_limit() {
                // Beside the bar only, so that it crosses no label.
                let x = self.x(limit);
                svg.line("limit", (x, top + 17.0), (x, top + 23.0 + BAR));
            }
        }
        let bottom = self.bars.len() as f64 * PITCH + 2.0;
        self.axis_line(&mut svg, bottom);
        let is_better = match (self.axis.is_log, self.measure.better) {
            (true, Better::Lower) => "log scale, further left is better",
            (true, Better::Higher) => "log scale, further right is better",
            (false, Better::Lower) => "shorter is better",
            (false, Better::Higher) => "longer is better",
        };
        let title = format!("p50; {is_better}");
        svg.text("tick", (WIDTH / 2.0, bottom + 36.0), Anchor::Middle, WIDTH, &title);
        svg.finish(WIDTH, bottom + 42.0, label)
    }

    fn x(&self, value: f64) -> f64 {
        EDGE + self.axis.at(value) * (WIDTH - 2.0 * EDGE)
    }

    fn bar(&self, svg: &mut Svg, bar: &Bar<'_>, top: f64) {
        let stats = bar.stats;
        let value = figure(stats.p50, self.measure.unit);
        let (low, high) = extremes(stats)
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let has_spread = high > low;
        let value = if has_spread { format!("{value} ±{}", percent(stats.spread)) } else { value };
        let room = WIDTH - 2.0 * EDGE - text_width(&value, LABEL) - 8.0;
        let class = if bar.is_ours { "label ours" } else { "label" };
        svg.text(class, (EDGE, top + 13.0), Anchor::Start, room, &bar.label);
        let right = (WIDTH - EDGE, top + 13.0);
        svg.text(class, right, Anchor::End, WIDTH, &value);

        for tick in &self.axis.ticks {
            svg.line("grid", (self.x(*tick), top + 18.0), (self.x(*tick), top + PITCH - 2.0));
        }
        let (from, middle) = (top + 20.0, top + 20.0 + BAR / 2.0);
        if !stats.p50.is_finite() {
            return;
        }
        let class = if bar.is_ours { "bar ours" } else { "bar" };
        let end = self.x(stats.p50);
        if self.axis.is_log {
            svg.rect(class, (EDGE, middle - 1.0), end - EDGE, 2.0);
            svg.circle(class, (end, middle), 5.0);
        } else {
            svg.rect(class, (EDGE, from), end - EDGE, BAR);
        }
        if has_spread {
            let (low, high) = (self.x(low), self.x(high));
            svg.line("whisker", (low, middle), (high, middle));
            for end in [low, high] {
                svg.line("whisker", (end, middle - 3.5), (end, middle + 3.5));
            }
        }
    }

    fn axis_line(&self, svg: &mut Svg, y: f64) {
        svg.line("axis", (EDGE, y), (WIDTH - EDGE, y));
        let labels = self.axis.ticks.iter().map(|tick| {
            let text = figure(*tick, self.measure.unit);
            let half = text_width(&text, TICK) / 2.0;
            // Labels at the ends stay inside the image.
            (self.x(*tick).clamp(half, WIDTH - half), text)
        });
        for tick in &self.axis.ticks {
            svg.line("axis", (self.x(*tick), y), (self.x(*tick), y + 4.0));
        }
        for (x, text) in with_room(labels.collect()) {
            svg.text("tick", (x, y + 17.0), Anchor::Middle, WIDTH, &text);
        }
    }
}

/// The least and the greatest of what is drawn.
fn extremes(stats: &Stats) -> impl Iterator<Item = f64> {
    stats.rounds.iter().map(|round| round.p50).chain([stats.p50])
}

/// Whether the limit can share an axis with the values without pressing them together.
fn is_near(limit: f64, values: &[f64]) -> bool {
    let high = values.iter().copied().fold(0.0, f64::max);
    limit <= high * 3.0 && limit * 300.0 >= high
}
