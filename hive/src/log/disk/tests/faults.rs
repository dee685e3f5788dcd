//! What went wrong once: stops in the middle of openings, other ways of writing before, readers beside a writer, files of others.

use super::*;

/// Whoever wrote without syncs, and was killed, has left nothing that is durable: all of it is copied.
#[test]
fn what_was_never_synced_is_written_anew() {
    let base = folder();
    let mut written = Written::default();
    let options = |durability| DiskLog::options().durability(durability);
    let mut log = options(Durability::Flush).open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    let large = "x".repeat(600_000);
    for _ in 0..5 {
        written.append(&mut log, &[&large]);
    }
    // As if it was killed.
    std::mem::forget(log);
    let before = segments(base.path());
    // The lock is that of this process still.
    fs::remove_file(base.path().join("LOCK")).unwrap();
    let log = options(Durability::Durable).open(base.path()).unwrap();
    assert_eq!(read(&log, Version(0)), written.entries);
    let after = segments(base.path());
    assert!(before.iter().all(|path| !after.contains(path)), "{before:?} {after:?}");
}

/// What such a system had not written may be in the middle: nobody was promised more than what is before it.
#[test]
fn holes_in_what_was_never_synced_are_its_end() {
    for (durability, is_refused) in [(Durability::Flush, false), (Durability::Durable, true)] {
        let base = folder();
        let mut written = Written::default();
        let mut log = DiskLog::options().durability(durability).open(base.path()).unwrap();
        log.archive().keep_image(&written.image()).unwrap();
        for _ in 0..4 {
            written.append(&mut log, &["a record"]);
        }
        drop(log);
        let [segment] = &segments(base.path())[..] else { panic!() };
        let mut bytes = fs::read(segment).unwrap();
        let length = (bytes.len() - segment::HEADER) / 4;
        bytes[segment::HEADER + length..segment::HEADER + 2 * length].fill(0);
        fs::write(segment, bytes).unwrap();
        match DiskLog::open(base.path()) {
            Ok(log) => {
                assert!(!is_refused);
                assert_eq!(read(&log, Version(0)), written.entries[..1]);
                assert_eq!(log.opening().torn.as_ref().unwrap().bytes, 3 * length as u64);
            }
            Err(error) => assert!(is_refused, "{error}"),
        }
    }
}

/// An opening that copied a frame of which nobody was told, and was stopped before the manifest; then the power went, and with it that frame
/// where it was first.
#[test]
fn an_opening_that_was_stopped_holds_nothing_that_anybody_was_told() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    written.append(&mut log, &["one"]);
    drop(log);
    let other = folder();
    let acknowledged = other.path().join("log");
    copy(base.path(), &acknowledged);
    let mut log = DiskLog::open(base.path()).unwrap();
    written.append(&mut log, &["two, of which nobody is told"]);
    drop(log);
    drop(DiskLog::open(base.path()).unwrap());
    // The segment of that last opening, beside the files of before.
    let newest = segments(base.path()).pop().unwrap();
    fs::copy(&newest, acknowledged.join(newest.file_name().unwrap())).unwrap();
    let log = DiskLog::open(&acknowledged).unwrap();
    assert_eq!(read(&log, Version(0)), written.entries[..1]);
}

/// A manifest of before, beside segments that were written since.
#[test]
fn an_old_manifest_is_refused() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::options().segment_bytes(300).open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    let manifest = base.path().join("MANIFEST");
    let old = fs::read(&manifest).unwrap();
    for _ in 0..5 {
        written.append(&mut log, &["a record of some length, so that segments are few"]);
    }
    drop(log);
    fs::write(&manifest, old).unwrap();
    let error = DiskLog::open(base.path()).unwrap_err();
    assert!(error.to_string().contains("the manifest is older than the log"), "{error}");
}

#[test]
fn who_only_reads_is_told_no_nonsense_while_it_is_written_and_compacted() {
    let base = folder();
    let mut written = Written::default();
    let options = DiskLog::options().segment_bytes(500).keep(Keep::Rounds(5));
    let mut log = options.open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            // SeqCst: there is no hurry.
            while !is_over.load(Ordering::SeqCst) || looks < 20 {
                let reader = DiskReader::open(base.path()).unwrap();
                let verified = reader.verify().unwrap();
                let image = reader.image(Version(u64::MAX)).unwrap().unwrap();
                assert!(verified.first <= image.version.next());
                looks += 1;
            }
        });
        for round in 0..2_000 {
            written.append(&mut log, &["a record"]);
            if round % 7 == 0 {
                log.archive().keep_image(&written.image()).unwrap();
            }
            if reader.is_finished() {
                break;
            }
        }
        is_over.store(true, Ordering::SeqCst);
        reader.join().unwrap();
    });
}

/// Each run writes less than what an image is worth.
#[test]
fn many_short_runs_want_an_image_as_one_long_run_does() {
    let base = folder();
    let mut written = Written::default();
    let mut wanted = 0;
    for run in 0..20 {
        let mut log = DiskLog::options().image_bytes(1_000).open(base.path()).unwrap();
        if run == 0 {
            log.archive().keep_image(&written.image()).unwrap();
        }
        written.append(&mut log, &["0123456789012345678901234567890123456789"]);
        if log.wants_image() {
            log.archive().keep_image(&written.image()).unwrap();
            wanted += 1;
        }
    }
    // A frame is 112 bytes.
    assert_eq!(wanted, 20 * 112 / 1_000);
}

#[test]
fn without_its_newest_image_a_log_that_keeps_little_can_be_opened() {
    let base = folder();
    let options = || DiskLog::options().segment_bytes(200).keep(Keep::Rounds(1));
    let mut written = Written::default();
    let mut log = options().open(base.path()).unwrap();
    for _ in 0..10 {
        log.archive().keep_image(&written.image()).unwrap();
        written.append(&mut log, &["a record"]);
        written.append(&mut log, &["a record"]);
    }
    drop(log);
    fs::write(files::image(base.path(), Version(18)), "rotten").unwrap();
    let log = options().open(base.path()).unwrap();
    assert_eq!((log.opening().image, log.last()), (Some(Version(16)), Version(20)));
    assert_eq!(log.opening().unusable_images.len(), 1);
    assert_eq!(read(&log, Version(16)), written.entries[16..]);
}

#[test]
fn an_opening_that_fails_leaves_everything_as_it_was() {
    let base = folder();
    let mut written = Written::default();
    let mut log = DiskLog::open(base.path()).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    written.append(&mut log, &["one"]);
    drop(log);
    // Where the manifest is to be written there is a folder.
    fs::create_dir(base.path().join("MANIFEST.new")).unwrap();
    let before = names(base.path());
    for _ in 0..3 {
        let error = DiskLog::open(base.path()).unwrap_err();
        assert!(error.to_string().contains("MANIFEST.new"), "{error}");
        assert_eq!(names(base.path()), before);
    }
    fs::remove_dir(base.path().join("MANIFEST.new")).unwrap();
    assert_eq!(read(&DiskLog::open(base.path()).unwrap(), Version(0)), written.entries);
}

#[test]
fn files_of_others_are_left_alone() {
    let base = folder();
    drop(DiskLog::open(base.path()).unwrap());
    let others = ["notes.new", "7.segment", "12.new", "README", "MANIFEST.old"];
    for name in others {
        fs::write(base.path().join(name), "mine").unwrap();
    }
    for name in ["MANIFEST.new", "0000000000000003.new"] {
        fs::write(base.path().join(name), "left over").unwrap();
    }
    drop(DiskLog::open(base.path()).unwrap());
    let left = names(base.path());
    assert!(others.iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
    assert!(!left.contains(&"0000000000000003.new".to_owned()), "{left:?}");
}

#[test]
fn numbers_and_lengths_beyond_reason_are_refused() {
    let base = folder();
    drop(DiskLog::open(base.path()).unwrap());
    let [segment] = &segments(base.path())[..] else { panic!() };
    // As large as a file may say that it is, and empty.
    let file = fs::File::options().write(true).open(segment).unwrap();
    if file.set_len(8 << 40).is_ok() {
        let error = DiskLog::open(base.path()).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
        file.set_len(segment::HEADER as u64).unwrap();
    }
    fs::write(files::segment(base.path(), u64::MAX), "").unwrap();
    let error = DiskLog::open(base.path()).unwrap_err();
    assert!(error.to_string().contains("remove that file"), "{error}");
}
