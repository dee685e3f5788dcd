use super::*;

/// What an opened log holds is what was written, or the beginning of it. Says how much is missing.
fn missing(log: &DiskLog, written: &Written) -> usize {
    let archive = log.archive();
    let image = archive.image(Version(u64::MAX)).unwrap().expect("there is always one");
    assert_eq!(image.bytes, format!("image of {}", image.version).into_bytes());
    let read = read(log, image.version);
    let after = &written.entries[image.version.0 as usize..];
    assert_eq!(read, after[..read.len()]);
    assert_eq!(log.last().0, image.version.0 + read.len() as u64);
    after.len() - read.len()
}

/// Damages a copy of a small log, and opens it.
struct Trial {
    base: TempDir,
    written: Written,
    count: u32,
}

impl Trial {
    fn new() -> Self {
        let base = folder();
        let written = small_log(&base.path().join("log"));
        Trial { base, written, count: 0 }
    }

    fn log(&self) -> PathBuf {
        self.base.path().join("log")
    }

    /// How many records are missing after that damage, and what is said of the end; or why it cannot be opened.
    fn damaged(&mut self, damage: impl FnOnce(&Path)) -> Result<(usize, Opening), LogError> {
        self.count += 1;
        let copied = self.base.path().join(format!("copy-{}", self.count));
        copy(&self.log(), &copied);
        damage(&copied);
        let before = names(&copied);
        let opened = DiskLog::open(&copied);
        let result = match opened {
            Ok(log) => Ok((missing(&log, &self.written), log.opening().clone())),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(names(&copied), before, "what is refused is left as it is: {error}");
                Err(error)
            }
        };
        fs::remove_dir_all(&copied).unwrap();
        result
    }
}

fn last_segment(folder: &Path) -> PathBuf {
    segments(folder).pop().unwrap()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn it_is_opened_up_to_the_last_whole_frame_wherever_it_was_cut() {
    let mut trial = Trial::new();
    let whole = fs::read(last_segment(&trial.log())).unwrap().len();
    let mut losses = Vec::new();
    for length in 0..=whole {
        let cut = |folder: &Path| change(&last_segment(folder), |bytes| bytes.truncate(length));
        match trial.damaged(cut) {
            Ok((missing, opening)) => {
                assert!(length >= segment::HEADER);
                let torn = opening.torn.map_or(0, |torn| torn.bytes);
                let before = losses.last().copied();
                if before.is_none_or(|(_, before)| before != missing) {
                    assert_eq!(torn, 0, "at {length} a frame ends");
                    losses.push((length, missing));
                }
                let (frame, _) = *losses.last().unwrap();
                assert_eq!(torn, (length - frame) as u64, "at {length}");
            }
            Err(error) => {
                assert!(length < segment::HEADER, "{length}: {error}");
                assert!(matches!(error, LogError::Damaged { .. }), "{error}");
            }
        }
    }
    let losses: Vec<usize> = losses.into_iter().map(|(_, missing)| missing).collect();
    assert_eq!(losses.last(), Some(&0), "nothing is missing of what was not cut");
    assert!(losses.len() > 1 && losses.is_sorted_by(|a, b| a > b), "{losses:?}");
}

/// An opening looks at everything from the newest image on; `verify` looks at everything.
#[test]
fn whatever_byte_is_wrong_is_found_or_does_no_harm() {
    let mut trial = Trial::new();
    let files = names(&trial.log());
    let [old_image, old_segment, .., new_image, lock, manifest] = &files[..] else { panic!() };
    assert_eq!([lock, manifest], ["LOCK", "MANIFEST"]);
    let last = last_segment(&trial.log());
    let last_frame = *starts(&last).last().unwrap();
    let (mut refused, mut torn) = (0, 0);
    for name in &files {
        let length = fs::read(trial.log().join(name)).unwrap().len();
        for place in 0..length {
            for flip in [0x01, 0x80, 0xff] {
                let mut verified = None;
                let found = trial.damaged(|folder| {
                    change(&folder.join(name), |bytes| bytes[place] ^= flip);
                    verified = Some(DiskReader::open(folder).and_then(|reader| reader.verify()));
                });
                let said = format!("{name}, byte {place}: {found:?}, {verified:?}");
                match verified.unwrap() {
                    Ok(verified) => assert!(name == lock || verified.torn.is_some(), "{said}"),
                    Err(_) => assert_ne!(name, lock, "{said}"),
                }
                match found {
                    Ok((0, opening)) if name == new_image => {
                        assert_eq!(opening.unusable_images.len(), 1, "{said}");
                    }
                    Ok((0, _)) => {
                        let is_old_record = name == old_segment && place >= segment::HEADER;
                        assert!(is_old_record || [old_image, lock].contains(&name), "{said}");
                    }
                    Ok((missing, opening)) => {
                        assert!(last.ends_with(name) && place >= last_frame, "{said}");
                        assert_eq!((missing, opening.torn.is_some()), (2, true), "{said}");
                        torn += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    let of_last = fs::read(&last).unwrap().len() - last_frame;
    assert_eq!(torn, 3 * of_last, "whatever of the last frame is wrong");
    assert!(refused > 1000, "{refused}");
}

/// Where frames begin in a segment.
fn starts(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let header = segment::Header::read(&bytes).unwrap().unwrap();
    let mut starts = Vec::new();
    let mut at = segment::HEADER;
    while let Some(frame) = frame::Frame::read(&bytes[at..], header.salt) {
        starts.push(at);
        at += frame.len();
    }
    starts
}

#[test]
fn garbage_at_the_end_is_left_out_and_told() {
    let mut trial = Trial::new();
    let whole = fs::read(last_segment(&trial.log())).unwrap();
    let last_frame = whole[*starts(&last_segment(&trial.log())).last().unwrap()..].to_vec();
    let header = whole[..segment::HEADER].to_vec();
    for garbage in [vec![1; 1], vec![0xff; 77], last_frame, header, whole] {
        let append = |folder: &Path| {
            change(&last_segment(folder), |bytes| bytes.extend_from_slice(&garbage));
        };
        let (missing, opening) = trial.damaged(append).unwrap();
        assert_eq!(missing, 0);
        assert_eq!(opening.torn.unwrap().bytes, garbage.len() as u64);
    }
}

/// Whoever appends durably writes zeros ahead, which stay if it is stopped.
#[test]
fn zeros_at_the_end_are_no_damage() {
    let base = folder();
    let (path, copied) = (base.path().join("log"), base.path().join("copy"));
    let mut written = Written::default();
    let mut log = DiskLog::open(&path).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    let mut longest = 0;
    for round in 0..8 {
        written.append(&mut log, &["a record", &"long ".repeat(round * 2500)]);
        let last = last_segment(&path);
        let frames = fs::read(&last).unwrap();
        let end = frames.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        assert!(end < frames.len(), "zeros are there");
        longest = longest.max(frames.len());
        for torn in [0, 50] {
            copy(&path, &copied);
            change(&last_segment(&copied), |bytes| bytes[end + 8..][..torn].fill(0xf8));
            assert_eq!(DiskReader::open(&copied).unwrap().verify().unwrap().last, written.last());
            let again = DiskLog::open(&copied).unwrap();
            assert_eq!(again.opening().torn.is_some(), torn > 0);
            assert_eq!(read(&again, Version(0)), written.entries);
            drop(again);
            fs::remove_dir_all(&copied).unwrap();
        }
    }
    assert!(longest > ZEROS.len() + 50_000, "they were written more than once: {longest}");
    drop(log);
    let closed = fs::read(last_segment(&path)).unwrap();
    assert!(closed.len() < longest && closed.last() != Some(&0), "they are gone");
    let log = DiskLog::open(&path).unwrap();
    assert!(log.opening().torn.is_none());
    assert_eq!(read(&log, Version(0)), written.entries);
}

#[test]
fn a_missing_file_is_named_or_not_needed() {
    let mut trial = Trial::new();
    let names = names(&trial.log());
    for name in &names {
        let found = trial.damaged(|folder| fs::remove_file(folder.join(name)).unwrap());
        let may_be_missing = name == "LOCK" || name.ends_with("image");
        match found {
            Ok((missing, _)) => assert!(missing == 0 && may_be_missing, "{name}"),
            Err(LogError::Missing { path, .. }) => {
                assert!(!may_be_missing, "{name}");
                assert_eq!(path.file_name().unwrap().to_str(), Some(name.as_str()));
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    // Both images.
    let images = names.iter().filter(|name| name.ends_with("image"));
    let found = trial.damaged(|folder| {
        images.for_each(|name| fs::remove_file(folder.join(name)).unwrap());
    });
    assert!(matches!(found, Err(LogError::Missing { .. })), "{found:?}");
    // Everything but the lock: it was not empty.
    let found = trial.damaged(|folder| {
        names.iter().filter(|name| *name != "LOCK").for_each(|name| {
            fs::remove_file(folder.join(name)).unwrap();
        });
    });
    assert!(matches!(found, Err(LogError::Missing { .. })), "{found:?}");
}

#[test]
fn swapped_files_are_found() {
    let mut trial = Trial::new();
    let names = names(&trial.log());
    for (place, one) in names.iter().enumerate() {
        for other in &names[..place] {
            let found = trial.damaged(|folder| {
                let [one, other] = [one, other].map(|name| folder.join(name));
                let content = fs::read(&one).unwrap();
                fs::copy(&other, &one).unwrap();
                fs::write(&other, content).unwrap();
            });
            assert!(!matches!(found, Ok((1.., _))), "{one} and {other}: {found:?}");
            let needs_both = [one, other].iter().all(|name| name.ends_with("segment"));
            assert!(found.is_err() || !needs_both, "{one} and {other}");
        }
    }
}

#[test]
fn a_segment_of_another_log_is_refused() {
    let mut trial = Trial::new();
    let other = folder();
    small_log(&other.path().join("log"));
    for (mine, others) in segments(&trial.log()).iter().zip(segments(&other.path().join("log"))) {
        let name = mine.file_name().unwrap();
        let found = trial.damaged(|folder| {
            fs::copy(&others, folder.join(name)).unwrap();
        });
        assert!(found.unwrap_err().to_string().contains("of another log"));
    }
}

#[test]
fn rot_before_the_end_is_refused_with_place_and_round() {
    let mut trial = Trial::new();
    let path = last_segment(&trial.log());
    let starts = starts(&path);
    let rotten = starts[starts.len() - 2];
    let rot = |folder: &Path| change(&last_segment(folder), |bytes| bytes[rotten + 60] ^= 4);
    let Err(LogError::Damaged { path: told, offset, round, what }) = trial.damaged(rot) else {
        panic!("it is damaged")
    };
    assert_eq!(told.file_name(), path.file_name());
    assert_eq!((offset, round), (rotten as u64, Some(Version(9))));
    assert!(what.contains("a later one is there, with round 10"), "{what}");
}
