//! Any bytes given as a record are read, or refused; what is read has exactly these bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(again) = queenright::fuzzing::record(bytes) {
        assert!(again == bytes, "the record has other bytes: {again:?}");
    }
});
