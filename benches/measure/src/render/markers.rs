//! Puts generated text into a document that people write, between two markers that stay where they are.

use std::error::Error;
use std::fmt;

/// Why a document's markers cannot be used. Nothing was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MarkerError {
    /// This marker is not in the document.
    Missing {
        /// The whole marker.
        marker: String,
    },
    /// This marker is in the document more than once, so it is not clear which one is meant.
    Twice {
        /// The whole marker.
        marker: String,
    },
    /// The end stands before the beginning.
    Reversed {
        /// The name in both markers.
        name: String,
    },
}

impl fmt::Display for MarkerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { marker } => {
                write!(formatter, "the document has no `{marker}`; add it where the text belongs")
            }
            Self::Twice { marker } => {
                write!(formatter, "the document has `{marker}` more than once; leave one")
            }
            Self::Reversed { name } => {
                write!(
                    formatter,
                    "`report:end {name}` stands before `report:begin {name}`; swap them"
                )
            }
        }
    }
}

impl Error for MarkerError {}

/// The document with `content` between `<!-- report:begin NAME -->` and `<!-- report:end NAME -->`, in place of what
/// stands there. The markers stay, so the next run finds them again.
///
/// # Errors
///
/// If either marker is missing or there twice, or the end stands before the beginning.
pub fn replace_between_markers(
    document: &str,
    name: &str,
    content: &str,
) -> Result<String, MarkerError> {
    let begin = format!("<!-- report:begin {name} -->");
    let end = format!("<!-- report:end {name} -->");
    let content_from = only(document, &begin)? + begin.len();
    let content_to = only(document, &end)?;
    if content_to < content_from {
        return Err(MarkerError::Reversed { name: name.to_owned() });
    }
    // The empty lines keep Markdown from reading the content as a part of the comment's HTML block.
    let content = content.trim_matches('\n');
    let (before, after) = (&document[..content_from], &document[content_to..]);
    Ok(format!("{before}\n\n{content}\n\n{after}"))
}

/// What stands between the markers of this name.
///
/// # Errors
///
/// As [`replace_between_markers`].
pub fn between_markers<'d>(document: &'d str, name: &str) -> Result<&'d str, MarkerError> {
    let begin = format!("<!-- report:begin {name} -->");
    let from = only(document, &begin)? + begin.len();
    let to = only(document, &format!("<!-- report:end {name} -->"))?;
    document.get(from..to).ok_or_else(|| MarkerError::Reversed { name: name.to_owned() })
}

/// The `old` sections, each of which begins with a heading of the third level, with those that `new` has in their place.
/// They stand in this `order`; sections that it does not name are left out.
pub fn renewed_sections(old: &str, new: &str, order: &[&str]) -> String {
    let section = |text: &str, name: &str| {
        let heading = format!("### {name}\n");
        let all = format!("\n{text}");
        let mut sections = all.split("\n### ").skip(1).map(|section| format!("### {section}"));
        sections.find(|section| section.starts_with(&heading))
    };
    let kept = |name: &&str| section(new, name).or_else(|| section(old, name));
    let sections: Vec<_> = order.iter().filter_map(kept).collect();
    sections.iter().map(|section| section.trim_end()).collect::<Vec<_>>().join("\n\n")
}

/// Where the one occurrence of a marker begins.
fn only(document: &str, marker: &str) -> Result<usize, MarkerError> {
    let mut places = document.match_indices(marker);
    match (places.next(), places.next()) {
        (Some((place, _)), None) => Ok(place),
        (None, _) => Err(MarkerError::Missing { marker: marker.to_owned() }),
        (Some(_), Some(_)) => Err(MarkerError::Twice { marker: marker.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A\n<!-- report:begin a -->\nold\n<!-- report:end a -->\ntext\n<!-- report:begin b --><!-- report:end b -->\n";

    #[test]
    fn sections_are_renewed_one_by_one() {
        let old = "\n### a\n\nold a\n\n### gone\n\nx\n\n### c\n\nold c\n#### part\n\n";
        let new = "### b\n\nnew b\n\n### a\n\nnew a\n";
        let renewed = renewed_sections(old, new, &["a", "b", "c", "d"]);
        assert_eq!(renewed, "### a\n\nnew a\n\n### b\n\nnew b\n\n### c\n\nold c\n#### part");
        assert_eq!(renewed_sections(&renewed, "", &["a", "b", "c"]), renewed);
    }

    #[test]
    fn what_stands_between_markers_is_what_was_put_there() {
        assert_eq!(between_markers(DOCUMENT, "a"), Ok("\nold\n"));
        assert_eq!(between_markers(DOCUMENT, "b"), Ok(""));
        let reversed = "<!-- report:end a --><!-- report:begin a -->";
        assert!(matches!(between_markers(reversed, "a"), Err(MarkerError::Reversed { .. })));
    }

    #[test]
    fn only_the_text_between_the_named_markers_is_replaced() {
        let replaced = replace_between_markers(DOCUMENT, "a", "new\n").unwrap();
        assert_eq!(replaced, DOCUMENT.replace("\nold\n", "\n\nnew\n\n"));
    }

    #[test]
    fn replacing_twice_is_replacing_once() {
        let once = replace_between_markers(DOCUMENT, "b", "new").unwrap();
        assert_eq!(replace_between_markers(&once, "b", "new").unwrap(), once);
    }

    #[test]
    fn a_missing_marker_is_named() {
        let error = replace_between_markers(DOCUMENT, "c", "").unwrap_err();
        assert_eq!(error, MarkerError::Missing { marker: "<!-- report:begin c -->".to_owned() });
        let unfinished = "<!-- report:begin a -->";
        let error = replace_between_markers(unfinished, "a", "").unwrap_err();
        assert_eq!(error, MarkerError::Missing { marker: "<!-- report:end a -->".to_owned() });
        assert!(error.to_string().contains("report:end a"));
    }

    #[test]
    fn a_marker_that_is_there_twice_is_refused() {
        let document = format!("{DOCUMENT}{DOCUMENT}");
        let error = replace_between_markers(&document, "a", "").unwrap_err();
        assert_eq!(error, MarkerError::Twice { marker: "<!-- report:begin a -->".to_owned() });
    }

    #[test]
    fn reversed_markers_are_refused() {
        let document = "<!-- report:end a --> <!-- report:begin a -->";
        let error = replace_between_markers(document, "a", "").unwrap_err();
        assert_eq!(error, MarkerError::Reversed { name: "a".to_owned() });
    }
}
