//! Axes: where a value lies, and which values are marked.

use super::svg::{TICK, text_width};

/// Beyond this factor between the least and the greatest value a linear axis would hide the small ones.
const MOST_ON_LINEAR: f64 = 12.0;

/// Maps values to positions between 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    pub(super) is_log: bool,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// A linear axis from 0 if the values lie close together, else a logarithmic one.
    pub(super) fn suited(values: &[f64], unit: &str) -> Self {
        let (low, high) = range(values);
        if low > 0.0 && high / low > MOST_ON_LINEAR {
            Self::log(values, unit)
        } else {
            Self::linear(high, unit)
        }
    }

    /// From 0 to at least `high`.
    pub(super) fn linear(high: f64, unit: &str) -> Self {
        let high = if high > 0.0 && high.is_finite() { high } else { 1.0 };
        // Steps of bytes are round in KiB or MiB.
        let unit_size = if unit == "bytes" { 1024_f64.powf(high.log(1024.0).floor()) } else { 1.0 };
        let rough = high / unit_size / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
        let step =
            step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough) * unit_size;
        let count = (high / step * 0.999).ceil().clamp(1.0, 20.0) as u32;
        let ticks: Vec<_> = (0..=count).map(|index| f64::from(index) * step).collect();
        Self { low: 0.0, high: f64::from(count) * step, is_log: false, ticks }
    }

    /// Over all positive values, each decade (of bytes: each power of two) as long as the next.
    pub(super) fn log(values: &[f64], unit: &str) -> Self {
        let (low, high) = range(values);
        let low = if low > 0.0 { low } else { 1.0 };
        let high = high.max(low * 1.2);
        let marks =
            if unit == "bytes" { powers_of_two(low, high) } else { round_numbers(low, high) };
        let below = marks.iter().copied().filter(|mark| *mark <= low * 1.001).fold(low, f64::min);
        let above = marks.iter().copied().filter(|mark| *mark >= high * 0.999).fold(high, f64::max);
        let ticks = marks.into_iter().filter(|mark| (below..=above).contains(mark)).collect();
        Self { low: below, high: above, is_log: true, ticks }
    }

    /// Where a value lies; one beyond an end lies at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// Whether a value lies between the ends.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The least positive value and the greatest.
fn range(values: &[f64]) -> (f64, f64) {
    let values = values.iter().copied().filter(|value| value.is_finite() && *value > 0.0);
    let (low, high) = values
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if high > 0.0 { (low, high) } else { (0.0, 0.0) }
}

/// From the last at or below `low` to the first at or above `high`: 1, 2, 5, 10 … over a short range, else decades.
fn round_numbers(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let factors: &[f64] = match decades {
        decades if decades <= 1.7 => &[1.0, 2.0, 5.0],
        decades if decades <= 2.6 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let every = if decades > 6.0 { 2 } else { 1 };
    let decades = (first..=last).filter(|decade| (decade - first) % every == 0);
    // Below 1 by division, so that 0.3 is 0.3 and not 0.30000000000000004.
    let power = |factor: f64, decade: i32| {
        if decade < 0 { factor / 10_f64.powi(-decade) } else { factor * 10_f64.powi(decade) }
    };
    let all = decades.flat_map(|decade| factors.iter().map(move |factor| power(*factor, decade)));
    around(all.collect(), low, high)
}

fn powers_of_two(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log2().floor() as i32, high.log2().ceil() as i32);
    let every = ((last - first) / 5).max(1);
    let all = (first..=last + every).filter(|power| (power - first) % every == 0);
    around(all.map(|power| 2_f64.powi(power)).collect(), low, high)
}

/// Those of rising values that enclose the range most closely.
fn around(values: Vec<f64>, low: f64, high: f64) -> Vec<f64> {
    let first = values.iter().rposition(|value| *value <= low * 1.001).unwrap_or(0);
    let last = values.iter().position(|value| *value >= high * 0.999).unwrap_or(values.len() - 1);
    values[first..=last].to_vec()
}

/// The labels that have room, of labels centred at rising positions: one that would touch another is left out, but
/// neither the first nor the last, which say how far the axis goes.
pub(super) fn with_room(mut labels: Vec<(f64, String)>) -> Vec<(f64, String)> {
    let half = |text: &str| text_width(text, TICK) / 2.0;
    let are_apart = |left: &(f64, String), right: &(f64, String)| {
        right.0 - half(&right.1) > left.0 + half(&left.1) + 6.0
    };
    let Some(last) = labels.pop() else { return labels };
    let mut kept: Vec<(f64, String)> = Vec::new();
    for label in labels {
        let is_free = kept.last().is_none_or(|before| are_apart(before, &label));
        if is_free && are_apart(&label, &last) {
            kept.push(label);
        }
    }
    kept.push(last);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_values_are_linear_from_zero_and_distant_ones_logarithmic() {
        let close = Axis::suited(&[7.25, 24.6], "ns");
        assert_eq!((close.is_log, close.ticks), (false, vec![0.0, 10.0, 20.0, 30.0]));
        let distant = Axis::suited(&[0.8, 310.0], "ns");
        assert_eq!(
            (distant.is_log, distant.ticks),
            (true, vec![0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0])
        );
    }

    #[test]
    fn ticks_of_bytes_are_round_in_their_own_units() {
        let axis = Axis::linear(70_000.0, "bytes");
        assert_eq!(axis.ticks, [0.0, 20480.0, 40960.0, 61440.0, 81920.0]);
        let axis = Axis::log(&[65_536.0, 110_100_480.0], "bytes");
        assert!(axis.ticks.iter().all(|tick| tick.log2().fract() == 0.0), "{axis:?}");
        assert!(axis.ticks.len() <= 7 && axis.holds(65_536.0) && axis.holds(110_100_480.0));
    }

    #[test]
    fn every_value_lies_between_the_ends() {
        for values in [&[3.0, 3.1][..], &[0.0, 0.0], &[f64::NAN], &[1e-3, 1e9], &[]] {
            for axis in [Axis::suited(values, "ns"), Axis::log(values, "bytes")] {
                assert!(axis.ticks.len() >= 2 && axis.ticks.len() <= 9, "{values:?} {axis:?}");
                assert!(axis.ticks.iter().all(|tick| axis.holds(*tick)));
                for value in values.iter().filter(|value| value.is_finite()) {
                    assert!((0.0..=1.0).contains(&axis.at(*value)));
                }
            }
        }
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let labels = [(0.0, "100"), (20.0, "200"), (50.0, "300"), (70.0, "400")];
        let kept = with_room(labels.map(|(at, text)| (at, text.to_owned())).to_vec());
        assert_eq!(kept.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0.0, 70.0]);
    }
}
