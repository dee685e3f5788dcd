//! Nothing but a place for the suites in `benches/`. Run them with `cargo bench`; reports are written to
//! `target/criterion/report/index.html`.
