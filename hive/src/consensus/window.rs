//! How many proposals a round takes from the queue.

/// How wide a round may be.
///
/// A wide round costs less a proposal, and publishes less often: what agents read is older, and more of them lose. So the
/// width follows the conflicts, by additive increase and multiplicative decrease, as congestion windows do (Chiu and Jain, 1989).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchWindow {
    /// Always as many as [`max_batch`](crate::HiveBuilder::max_batch) says.
    Fixed,
    /// At most so many; fewer while proposals are lost to conflicts.
    Adaptive {
        /// Never fewer than this; at least 1.
        least: usize,
        /// By how much it grows after a round that was full and went well.
        step: usize,
        /// It is halved after a round in which more than so many in a hundred were lost to a conflict.
        percent: u8,
    },
}

impl BatchWindow {
    /// From 16 on, in steps of 64, halved above 25 %.
    pub const fn adaptive() -> Self {
        BatchWindow::Adaptive { least: 16, step: 64, percent: 25 }
    }
}

/// The current width.
#[derive(Debug)]
pub(crate) struct Window {
    rule: BatchWindow,
    most: usize,
    size: usize,
}

impl Window {
    /// As wide as `most` to begin with.
    pub(crate) fn new(rule: BatchWindow, most: usize) -> Self {
        let most = most.max(1);
        Window { rule, most, size: most }
    }

    /// How many proposals the next round takes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes note of a round: how many were judged, and how many of them were lost to a conflict.
    pub(crate) fn observe(&mut self, judged: usize, lost: usize) {
        let BatchWindow::Adaptive { least, step, percent } = self.rule else { return };
        if lost * 100 > judged * usize::from(percent) {
            self.size = (self.size / 2).max(least).clamp(1, self.most);
        } else if judged >= self.size {
            self.size = self.size.saturating_add(step).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        Window::new(BatchWindow::Adaptive { least: 8, step: 10, percent: 25 }, 100)
    }

    #[test]
    fn conflicts_halve_it_down_to_the_least() {
        let mut window = window();
        let sizes: Vec<_> = (0..6)
            .map(|_| {
                window.observe(100, 26);
                window.size()
            })
            .collect();
        assert_eq!(sizes, [50, 25, 12, 8, 8, 8]);
    }

    #[test]
    fn full_rounds_that_go_well_widen_it_up_to_the_most() {
        let mut window = window();
        (0..9).for_each(|_| window.observe(100, 100));
        window.observe(8, 2);
        assert_eq!(window.size(), 18, "a quarter is still well");
        window.observe(17, 0);
        assert_eq!(window.size(), 18, "nobody was kept out by it");
        (0..20).for_each(|_| window.observe(100, 0));
        assert_eq!(window.size(), 100);
    }

    #[test]
    fn a_fixed_one_stays() {
        let mut window = Window::new(BatchWindow::Fixed, 100);
        window.observe(100, 100);
        assert_eq!(window.size(), 100);
        assert_eq!(Window::new(BatchWindow::Fixed, 0).size(), 1);
    }

    #[test]
    fn a_least_above_the_most_is_the_most() {
        let rule = BatchWindow::Adaptive { least: 16, step: 1, percent: 0 };
        let mut window = Window::new(rule, 4);
        window.observe(4, 4);
        assert_eq!(window.size(), 4);
    }
}
