//! Writes the inline SVG of the plots.

use super::escaped;

/// The width of every plot in its own units. It is about the width of a phone in pixels, so that text is readable there;
/// a laptop shows several plots side by side.
pub(super) const WIDTH: f64 = 360.0;

/// The size of labels, as the style sheet sets it for `.label`.
pub(super) const LABEL: f64 = 13.0;
/// The size of the text at axes, as the style sheet sets it for `.tick`.
pub(super) const TICK: f64 = 12.0;

/// A circle around where a path stands.
pub(super) const CIRCLE: &str = "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z";

/// Which end of a text stands at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// An image that grows by one element after the other.
pub(super) struct Svg {
    elements: String,
}

impl Svg {
    pub(super) fn new() -> Self {
        Self { elements: String::new() }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.elements += &format!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        );
    }

    pub(super) fn rect(&mut self, class: &str, corner: (f64, f64), width: f64, height: f64) {
        self.elements += &format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            number(corner.0),
            number(corner.1),
            number(width.max(0.0)),
            number(height)
        );
    }

    pub(super) fn circle(&mut self, class: &str, centre: (f64, f64), radius: f64) {
        self.elements += &format!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            number(centre.0),
            number(centre.1),
            number(radius)
        );
    }

    /// Straight lines from point to point.
    pub(super) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let points = points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y)));
        let points: Vec<_> = points.collect();
        self.elements += &format!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    /// A path, given as SVG's path data; `title` is shown when the pointer rests on it.
    pub(super) fn path(&mut self, class: &str, data: &str, title: &str) {
        self.elements += &format!(
            "<path class=\"{class}\" d=\"{data}\"><title>{}</title></path>",
            escaped(title)
        );
    }

    /// A text; `room` is how wide it may be. What does not fit is cut, and shown whole when the pointer rests on it.
    pub(super) fn text(
        &mut self,
        class: &str,
        position: (f64, f64),
        anchor: Anchor,
        room: f64,
        text: &str,
    ) {
        let size = if class.contains("tick") { TICK } else { LABEL };
        let kept = (room / text_width("m", size)).floor().max(2.0) as usize;
        let is_cut = text.chars().count() > kept;
        let shown = if is_cut {
            text.chars().take(kept - 1).chain(['…']).collect()
        } else {
            text.to_owned()
        };
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let title =
            if is_cut { format!("<title>{}</title>", escaped(text)) } else { String::new() };
        self.elements += &format!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{title}{}</text>",
            number(position.0),
            number(position.1),
            escaped(&shown)
        );
    }

    /// The whole image; `label` says in words what it shows.
    pub(super) fn finish(self, width: f64, height: f64, label: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            number(width),
            number(height),
            escaped(label),
            self.elements
        )
    }
}

/// About how wide a text is, rather more than less: which font the reader has is not known.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.64
}

/// A coordinate. What is no number is drawn at 0, because one broken attribute would break the whole image.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.1}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_cut_and_kept_as_its_title() {
        let mut svg = Svg::new();
        svg.text("label", (0.0, 0.0), Anchor::Start, 85.0, "crossbeam-epoch <pin> + load");
        let image = svg.finish(WIDTH, 20.0, "a \"label\"");
        assert!(image.contains("<title>crossbeam-epoch &lt;pin&gt; + load</title>crossbeam…"));
        assert!(image.contains("aria-label=\"a &quot;label&quot;\""));
    }

    #[test]
    fn coordinates_are_short_and_always_numbers() {
        assert_eq!(number(1.0), "1");
        assert_eq!(number(1.26), "1.3");
        assert_eq!(number(-0.01), "0");
        assert_eq!(number(100.0), "100");
        assert_eq!(number(f64::NAN), "0");
    }
}
