//! Samples of one contender, and the figures that are read off them.

use hdrhistogram::Histogram;

use crate::crew::Verdict;
use crate::row::{Round, Sample, Stats, Windows};

/// Histograms hold whole numbers; latencies are kept in picoseconds.
const PARTS: f64 = 1000.0;

/// What one contender of one row has shown so far.
pub(crate) struct Samples {
    name: String,
    kind: Option<Sample>,
    rounds: Vec<Shown>,
    /// Windows in which a thread was preempted or starved; they count only if there are no others.
    set_aside: Vec<f64>,
    windows: Option<Windows>,
    /// Operations in a block, once it is known how fast they are.
    pub(crate) block: Option<u64>,
}

impl Samples {
    pub(crate) fn of(name: &str) -> Samples {
        Samples {
            name: name.to_owned(),
            kind: None,
            rounds: Vec::new(),
            set_aside: Vec::new(),
            windows: None,
            block: None,
        }
    }

    pub(crate) fn begin_round(&mut self) {
        self.rounds.push(Shown::Nothing);
    }

    pub(crate) fn record(&mut self, kind: Sample, value: f64) {
        debug_assert!(
            self.kind.is_none_or(|known| known == kind),
            "one kind of sample a contender"
        );
        self.kind = Some(kind);
        if let Some(round) = self.rounds.last_mut() {
            round.record(kind, value);
        }
    }

    pub(crate) fn record_window(&mut self, value: f64, verdict: Verdict) {
        let windows = self.windows.get_or_insert_default();
        match verdict {
            Verdict::Kept { oversubscribed } => {
                windows.oversubscribed = oversubscribed;
                windows.kept += 1;
                return self.record(Sample::Window, value);
            }
            Verdict::Preempted => windows.preempted += 1,
            Verdict::Unfair => windows.unfair += 1,
        }
        self.set_aside.push(value);
    }

    /// The figures; `None` if nothing was ever recorded.
    pub(crate) fn finish(mut self) -> Option<Stats> {
        let apart = (!self.set_aside.is_empty()).then(|| {
            let mut apart = Shown::Nothing;
            self.set_aside.iter().for_each(|value| apart.record(Sample::Window, *value));
            apart
        });
        if let (Some(windows), Some(apart)) = (&mut self.windows, &apart) {
            windows.set_aside_p50 = Some(apart.at(0.5));
        }
        self.rounds.retain(|round| round.count() > 0);
        if self.rounds.is_empty() {
            self.rounds.push(apart?);
            self.kind = Some(Sample::Window);
        }
        let sample = self.kind?;
        let mut all = self.rounds.first()?.clone();
        self.rounds[1..].iter().for_each(|round| all.add(round));
        // A percentile of means is not a percentile.
        let tail =
            |shown: &Shown, quantile| (sample == Sample::Operation).then(|| shown.at(quantile));
        let rounds: Vec<Round> = self
            .rounds
            .iter()
            .map(|round| Round {
                p50: round.at(0.5),
                p95: tail(round, 0.95),
                p99: tail(round, 0.99),
            })
            .collect();
        let p50 = all.at(0.5);
        let highest = rounds.iter().map(|round| round.p50).fold(f64::MIN, f64::max);
        let lowest = rounds.iter().map(|round| round.p50).fold(f64::MAX, f64::min);
        Some(Stats {
            name: self.name,
            beside: false,
            min: all.at(0.0),
            p50,
            p95: tail(&all, 0.95),
            p99: tail(&all, 0.99),
            p999: tail(&all, 0.999),
            max: all.at(1.0),
            n: all.count(),
            sample,
            spread: if p50 > 0.0 { (highest - lowest) / 2.0 / p50 } else { 0.0 },
            rounds,
            windows: self.windows,
            curve: curve(&all),
        })
    }
}

/// A distribution: a histogram of operations, of which there are millions; everything else as it is.
#[derive(Clone)]
enum Shown {
    Nothing,
    /// Three significant digits.
    Operations(Box<Histogram<u64>>),
    /// Sorted.
    Means(Vec<f64>),
}

impl Shown {
    fn record(&mut self, kind: Sample, value: f64) {
        if let Shown::Nothing = self {
            *self = match (kind, Histogram::new(3)) {
                (Sample::Operation, Ok(histogram)) => Shown::Operations(Box::new(histogram)),
                _ => Shown::Means(Vec::new()),
            };
        }
        match self {
            Shown::Nothing => {}
            Shown::Operations(histogram) => {
                // The range grows with the values; what is beyond every range counts as the most that was seen.
                let parts = (value * PARTS).round() as u64;
                if histogram.record(parts).is_err() {
                    histogram.saturating_record(parts);
                }
            }
            Shown::Means(values) => {
                let place = values.partition_point(|other| *other <= value);
                values.insert(place, value);
            }
        }
    }

    fn add(&mut self, other: &Shown) {
        match (self, other) {
            (Shown::Operations(all), Shown::Operations(more)) => {
                // Both have the same number of digits, and the first grows: nothing is left that could be refused.
                let _ = all.add(&**more);
            }
            (Shown::Means(all), Shown::Means(more)) => {
                all.extend(more);
                all.sort_by(f64::total_cmp);
            }
            _ => {}
        }
    }

    fn count(&self) -> u64 {
        match self {
            Shown::Nothing => 0,
            Shown::Operations(histogram) => histogram.len(),
            Shown::Means(values) => values.len() as u64,
        }
    }

    /// The least value that this share of the samples does not exceed.
    fn at(&self, quantile: f64) -> f64 {
        match self {
            Shown::Nothing => 0.0,
            Shown::Operations(histogram) => histogram.value_at_quantile(quantile) as f64 / PARTS,
            Shown::Means(values) => {
                let place = (quantile * values.len() as f64).ceil() as usize;
                values.get(place.saturating_sub(1)).copied().unwrap_or_default()
            }
        }
    }
}

/// The distribution at quantiles that get denser towards 1, as far as there are samples to tell them apart.
fn curve(shown: &Shown) -> Vec<(f64, f64)> {
    let mut quantiles: Vec<f64> = (0..=18).map(|step| f64::from(step) * 0.05).collect();
    for nines in 1..=6 {
        let missing = 0.1_f64.powi(nines);
        quantiles.extend([1.0 - missing, 1.0 - missing * 0.5, 1.0 - missing * 0.2]);
    }
    let enough = |quantile: &f64| (1.0 - quantile) * shown.count() as f64 >= 1.0;
    quantiles.retain(enough);
    quantiles.sort_by(f64::total_cmp);
    quantiles.dedup();
    quantiles.into_iter().map(|quantile| (quantile, shown.at(quantile))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(kind: Sample, rounds: &[&[f64]]) -> Option<Stats> {
        let mut samples = Samples::of("x");
        for round in rounds {
            samples.begin_round();
            round.iter().for_each(|value| samples.record(kind, *value));
        }
        samples.finish()
    }

    fn close(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= wanted * 0.002
    }

    #[test]
    fn percentiles_come_from_every_sample_of_every_round() {
        let low: Vec<f64> = (1..=500).map(f64::from).collect();
        let high: Vec<f64> = (501..=1000).map(f64::from).collect();
        let stats = samples(Sample::Operation, &[&low, &high]).unwrap();
        assert!(close(stats.p50, 500.0) && close(stats.p99.unwrap(), 990.0), "{stats:?}");
        assert!(close(stats.p999.unwrap(), 999.0) && close(stats.max, 1000.0), "{stats:?}");
        assert_eq!((stats.n, stats.rounds.len()), (1000, 2));
        assert!(close(stats.spread, 0.5), "the rounds' medians are 250 and 750: {}", stats.spread);
    }

    #[test]
    fn a_block_has_a_median_but_no_tail() {
        let stats = samples(Sample::Block, &[&[0.87, 0.88, 0.89]]).unwrap();
        assert!(close(stats.p50, 0.88));
        assert_eq!((stats.p95, stats.p99, stats.p999), (None, None, None));
    }

    #[test]
    fn counts_stay_exact() {
        let stats = samples(Sample::Value, &[&[100_001.0], &[100_001.0]]).unwrap();
        assert_eq!(
            (stats.min, stats.p50, stats.max, stats.n),
            (100_001.0, 100_001.0, 100_001.0, 2)
        );
    }

    #[test]
    fn a_curve_rises_and_shows_no_quantile_beyond_its_samples() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        let stats = samples(Sample::Operation, &[&values]).unwrap();
        assert!(stats.curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert!(stats.curve.last().unwrap().0 <= 0.999);
    }

    #[test]
    fn windows_set_aside_count_only_if_there_are_no_others() {
        let with = |kept: &[f64]| {
            let mut samples = Samples::of("x");
            samples.begin_round();
            kept.iter().for_each(|value| samples.record(Sample::Window, *value));
            samples.record_window(7.0, Verdict::Preempted);
            let stats = samples.finish().unwrap();
            assert_eq!(stats.windows.unwrap().set_aside_p50, Some(7.0), "shown beside");
            stats.p50
        };
        assert!(close(with(&[3.0]), 3.0));
        assert!(close(with(&[]), 7.0));
    }

    #[test]
    fn nothing_recorded_is_nothing() {
        assert_eq!(samples(Sample::Block, &[&[]]), None);
    }
}
