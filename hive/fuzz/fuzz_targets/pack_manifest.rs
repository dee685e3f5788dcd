//! Any text given as a `pack.toml` is read, or refused with places; it never panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    match queenright::packs::parse_pack_manifest("pack.toml", text) {
        Ok(pack) => assert!(pack.wishes.iter().all(|wish| !wish.asks.is_empty())),
        Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
    }
});
