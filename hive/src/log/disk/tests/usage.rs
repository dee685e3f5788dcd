use super::*;

#[test]
fn what_was_appended_is_read_again_after_each_opening() {
    let base = folder();
    let path = base.path().join("log");
    let mut written = Written::default();
    for opening in 0..6 {
        let mut log = DiskLog::options().segment_bytes(1000).open(&path).unwrap();
        assert_eq!(log.term(), opening + 1);
        assert_eq!(read(&log, Version(0)), written.entries);
        if opening == 0 {
            log.archive().keep_image(&written.image()).unwrap();
        }
        for frame in 0..5 {
            written.append(&mut log, &["a record"; 3][..frame % 3 + 1]);
        }
        for after in 0..=written.last().0 {
            assert_eq!(read(&log, Version(after)), written.entries[after as usize..]);
        }
    }
    let reader = DiskReader::open(&path).unwrap();
    let verified = reader.verify().unwrap();
    assert_eq!(
        (verified.last, verified.head, verified.first),
        (written.last(), written.head, Version(1))
    );
    assert!(!verified.in_use && verified.torn.is_none());
    let all: Vec<Entry> = reader.after(Version(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(all, written.entries);
}

#[test]
fn who_opens_it_a_second_time_is_refused() {
    let base = folder();
    let log = DiskLog::open(base.path()).unwrap();
    let error = DiskLog::open(base.path()).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    assert!(DiskReader::open(base.path()).unwrap().verify().unwrap().in_use);
    drop(log);
    assert!(!DiskReader::open(base.path()).unwrap().verify().unwrap().in_use);
    DiskLog::open(base.path()).unwrap();
}

#[test]
fn an_append_out_of_sequence_changes_nothing() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::open(base.path()).unwrap();
    written.append(&mut log, &["one", "two"]);
    let next = chain(&mut written.head.clone(), 3, &["three"]);
    for expected in [0, 1, 3] {
        let error = log.append(Version(expected), &next).unwrap_err();
        assert!(matches!(error, LogError::OutOfSequence { last: Version(2), .. }), "{error}");
    }
    let gap = chain(&mut written.head.clone(), 4, &["four"]);
    assert!(log.append(Version(2), &gap).is_err());
    written.append(&mut log, &["three"]);
    assert_eq!(read(&log, Version(0)), written.entries);
}

/// Whoever is killed again and again does not leave more and more files.
#[test]
fn many_openings_leave_few_files() {
    let base = folder();
    let mut written = Written::default();
    for opening in 0..50 {
        let mut log = DiskLog::open(base.path()).unwrap();
        if opening == 0 {
            log.archive().keep_image(&written.image()).unwrap();
        }
        written.append(&mut log, &["a record"]);
        assert_eq!(segments(base.path()).len(), 1, "{:?}", names(base.path()));
    }
    assert_eq!(read(&DiskLog::open(base.path()).unwrap(), Version(0)), written.entries);
}

/// Nothing is written to a file again after it was opened: what is in it may never have been synced.
#[test]
fn an_opening_appends_to_a_new_file_and_has_the_last_frame_there() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    let large = "x".repeat(1 << 20);
    written.append(&mut log, &[&large]);
    written.append(&mut log, &["small"]);
    drop(log);
    let [before] = &segments(base.path())[..] else { panic!() };
    let content = fs::read(before).unwrap();
    let mut log = DiskLog::open(base.path()).unwrap();
    written.append(&mut log, &["another"]);
    let [same, new] = &segments(base.path())[..] else { panic!("{:?}", names(base.path())) };
    assert!(before == same && fs::read(same).unwrap() == content);
    let found = String::from_utf8_lossy(&fs::read(new).unwrap()).into_owned();
    assert!(found.contains("small") && found.contains("another"));
    assert_eq!(read(&log, Version(0)), written.entries);
}

#[test]
fn what_is_not_kept_goes_and_the_rest_can_be_opened() {
    let base = folder();
    let options = || DiskLog::options().segment_bytes(300).keep(Keep::Rounds(10));
    let mut written = Written::default();
    let mut log = options().open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    for round in 1..=100 {
        written.append(&mut log, &["a record of some length"]);
        if round % 7 == 0 {
            log.archive().keep_image(&written.image()).unwrap();
            let files = names(base.path()).len();
            assert!(files <= 2 + 3 + 12, "{files} after {round} rounds");
        }
    }
    drop(log);
    let log = options().open(base.path()).unwrap();
    assert_eq!(log.opening().image, Some(Version(98)));
    assert_eq!(read(&log, Version(98)), written.entries[98..]);
    let verified = DiskReader::open(base.path()).unwrap().verify().unwrap();
    let oldest = verified.images[0];
    assert!(verified.first <= oldest.next() && oldest <= Version(90), "{verified:?}");
    assert!(log.archive().after(Version(3)).is_err(), "it is not kept");
    let replayed = read(&log, oldest);
    assert_eq!(replayed, written.entries[oldest.0 as usize..]);
}

#[test]
fn what_is_gathered_is_written_in_the_end() {
    for durability in [Durability::Memory, Durability::Flush] {
        let base = folder();
        let mut written = Written::default();
        let mut log =
            DiskLog::options().durability(durability).segment_bytes(500).open(base.path()).unwrap();
        log.archive().keep_image(&written.image()).unwrap();
        for _ in 0..30 {
            written.append(&mut log, &["a record", "and another"]);
        }
        drop(log);
        assert_eq!(read(&DiskLog::open(base.path()).unwrap(), Version(0)), written.entries);
    }
}

#[test]
fn an_image_is_wanted_once_for_each_so_many_bytes() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::options().image_bytes(1000).open(base.path()).unwrap();
    let mut wanted = 0;
    for _ in 0..100 {
        written.append(&mut log, &["0123456789012345678901234567890123456789"]);
        wanted += usize::from(log.wants_image());
    }
    // A frame is 112 bytes.
    assert_eq!(wanted, 100 * 112 / 1000);
}

/// A disk that is full, and the file as it was left, which may have part of a frame.
#[cfg(target_os = "linux")]
#[test]
fn after_a_failure_nothing_is_written_any_more() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    written.append(&mut log, &["one"]);
    // A real file that refuses every write.
    log.file = File::options().write(true).open("/dev/full").unwrap();
    let next = chain(&mut written.head.clone(), 2, &["two"]);
    let error = log.append(Version(1), &next).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    let error = log.append(Version(1), &next).unwrap_err();
    assert!(matches!(error, LogError::Failed), "{error}");
    drop(log);
    assert_eq!(read(&DiskLog::open(base.path()).unwrap(), Version(0)), written.entries);
}
