//! As `record`, of what a hive has to remember besides: its state, the answers given to intents, and open ballots. Which of
//! them it is, the first byte says.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    let again = match kind {
        0 => queenright::fuzzing::state(bytes),
        1 => queenright::fuzzing::intents(bytes),
        2 => queenright::fuzzing::ballots(bytes),
        _ => None,
    };
    if let Some(again) = again {
        assert!(again == bytes, "what was read has other bytes: {again:?}");
    }
});
