//! Renders a [`Report`](crate::Report): for the terminal, as Markdown, and as one HTML page.
//!
//! Each renderer is a pure function of the report. All of them show the same figures in the same words, print a
//! missed target before anything else can be read into the rest, and write `–` where nothing was measured.

mod figure;
mod html;
mod markdown;
mod markers;
mod outline;
#[cfg(test)]
mod sample;
mod terminal;

pub(crate) use figure::{figure, ratio};
pub use html::html;
pub use markdown::{limits_table, machine_line, markdown, tables};
pub use markers::{MarkerError, between_markers, renewed_sections, replace_between_markers};
pub use terminal::terminal;
