//! Samples of one contender, and the figures that are read off them.

use hdrhistogram::Histogram;

use crate::row::{Round, Sample, Stats, Windows};

/// Histograms hold whole numbers; figures are kept in thousandths of their unit (picoseconds for `ns`).
const PARTS: f64 = 1000.0;

/// What one contender of one row has shown so far.
pub(crate) struct Samples {
    name: String,
    kind: Option<Sample>,
    /// One histogram a round.
    rounds: Vec<Histogram<u64>>,
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
        // Three significant digits. Only more than five would be refused.
        self.rounds.extend(Histogram::new(3).ok());
    }

    pub(crate) fn record(&mut self, kind: Sample, value: f64) {
        debug_assert!(
            self.kind.is_none_or(|known| known == kind),
            "one kind of sample a contender"
        );
        self.kind = Some(kind);
        let Some(round) = self.rounds.last_mut() else { return };
        // The range grows with the values; what is beyond every range counts as the most that was ever seen.
        let parts = (value * PARTS).round() as u64;
        if round.record(parts).is_err() {
            round.saturating_record(parts);
        }
    }

    pub(crate) fn windows(&mut self) -> &mut Windows {
        self.windows.get_or_insert_default()
    }

    pub(crate) fn set_aside(&mut self, value: f64) {
        self.set_aside.push(value);
    }

    /// The figures; `None` if nothing was ever recorded.
    pub(crate) fn finish(mut self) -> Option<Stats> {
        self.rounds.retain(|round| !round.is_empty());
        if self.rounds.is_empty() {
            for value in std::mem::take(&mut self.set_aside) {
                self.begin_round();
                self.record(Sample::Window, value);
            }
        }
        let sample = self.kind?;
        let mut all = self.rounds.first()?.clone();
        for round in &self.rounds[1..] {
            all.add(round).ok()?;
        }
        let at = |histogram: &Histogram<u64>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / PARTS
        };
        // A percentile of means is not a percentile.
        let tail = |histogram: &Histogram<u64>, quantile| {
            (sample == Sample::Operation).then(|| at(histogram, quantile))
        };
        let rounds: Vec<Round> = self
            .rounds
            .iter()
            .map(|round| Round {
                p50: at(round, 0.5),
                p95: tail(round, 0.95),
                p99: tail(round, 0.99),
            })
            .collect();
        let p50 = at(&all, 0.5);
        let highest = rounds.iter().map(|round| round.p50).fold(f64::MIN, f64::max);
        let lowest = rounds.iter().map(|round| round.p50).fold(f64::MAX, f64::min);
        Some(Stats {
            name: self.name,
            min: all.min() as f64 / PARTS,
            p50,
            p95: tail(&all, 0.95),
            p99: tail(&all, 0.99),
            p999: tail(&all, 0.999),
            max: all.max() as f64 / PARTS,
            n: all.len(),
            sample,
            spread: if p50 > 0.0 { (highest - lowest) / 2.0 / p50 } else { 0.0 },
            rounds,
            windows: self.windows,
            curve: curve(&all),
        })
    }
}

/// The distribution at quantiles that get denser towards 1, as far as there are samples to tell them apart.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut quantiles: Vec<f64> = (0..=18).map(|step| f64::from(step) * 0.05).collect();
    for nines in 1..=6 {
        let missing = 0.1_f64.powi(nines);
        quantiles.extend([1.0 - missing, 1.0 - missing * 0.5, 1.0 - missing * 0.2]);
    }
    let enough = |quantile: &f64| (1.0 - quantile) * histogram.len() as f64 >= 1.0;
    let mut quantiles: Vec<f64> = quantiles.into_iter().filter(enough).collect();
    quantiles.sort_by(f64::total_cmp);
    quantiles.dedup();
    let point = |quantile| (quantile, histogram.value_at_quantile(quantile) as f64 / PARTS);
    quantiles.into_iter().map(point).collect()
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
            samples.set_aside(7.0);
            samples.finish().unwrap().p50
        };
        assert!(close(with(&[3.0]), 3.0));
        assert!(close(with(&[]), 7.0));
    }

    #[test]
    fn nothing_recorded_is_nothing() {
        assert_eq!(samples(Sample::Block, &[&[]]), None);
    }
}
