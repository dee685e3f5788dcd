//! Any text given as a `Cargo.toml` is read, or refused with places; it never panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    match queenright::packs::parse_cargo_manifest("Cargo.toml", text) {
        Ok(Some(pack)) => assert!(pack.spanning.iter().all(|dep| !dep.requirement.is_empty())),
        Ok(None) => {}
        Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
    }
});
