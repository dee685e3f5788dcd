//! Text that fits into a number of characters.

/// A bar from the tick in the middle: each half is a factor of 8, on a logarithmic scale.
pub(super) fn bar(ratio: Option<f64>, width: usize) -> String {
    let half = width / 2;
    let Some(ratio) = ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0 && half > 0) else {
        return " ".repeat(width);
    };
    // Half characters, so that a short bar still tells 1.1 from 1.3.
    let halves = (ratio.log2().abs() / 3.0 * (2 * half) as f64).round();
    let beyond = halves > (2 * half) as f64;
    let halves = if beyond { 2 * half } else { halves as usize };
    let full = "█".repeat(halves / 2 - usize::from(beyond));
    let better = ratio >= 1.0;
    let (part, arrow) = if better { ("▌", "▶") } else { ("▐", "◀") };
    let end = if beyond { arrow } else { &part[..if halves % 2 == 1 { part.len() } else { 0 }] };
    if better {
        left(&format!("{}│{full}{end}", " ".repeat(half)), width)
    } else {
        right(&format!("{end}{full}│{}", " ".repeat(half)), width)
    }
}

pub(super) fn characters(text: &str) -> usize {
    text.chars().count()
}

pub(super) fn left(text: &str, width: usize) -> String {
    format!("{:width$}", shortened(text, width))
}

pub(super) fn right(text: &str, width: usize) -> String {
    format!("{:>width$}", shortened(text, width))
}

/// The text, or as much of it as fits before an ellipsis.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if characters(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { kept } else { kept + "…" }
}

/// Lines of whole words; the later ones leave room for an indent of two. A word that is longer than a line is cut.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    let mut room = width;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let last = lines.len() - 1;
            let line = &mut lines[last];
            let gap = usize::from(!line.is_empty());
            if characters(line) + gap + word.len() <= room {
                line.push_str(&" ".repeat(gap));
                line.extend(word.drain(..));
            } else if line.is_empty() {
                line.extend(word.drain(..room));
            } else {
                room = width - 2;
                lines.push(String::new());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_to_the_side_that_is_better() {
        assert_eq!(bar(Some(1.0), 9), "    │    ");
        assert_eq!(bar(Some(8.0), 9), "    │████");
        assert_eq!(bar(Some(0.125), 9), "████│    ");
        assert_eq!(bar(Some(1.3), 9), "    │▌   ");
        assert_eq!(bar(Some(0.5), 9), " ▐█│    ".to_owned().replacen(' ', "  ", 1));
        assert_eq!(bar(Some(50.0), 9), "    │███▶");
        assert_eq!(bar(Some(0.0), 9), " ".repeat(9));
        assert_eq!(bar(None, 9), " ".repeat(9));
    }

    #[test]
    fn long_words_are_cut_and_lines_are_of_whole_words() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij", 6), ["abcdef", "ghij"]);
        assert_eq!(wrapped("", 6), [""]);
    }
}
