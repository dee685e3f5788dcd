//! A real process that is killed again and again while it commits to a log on disk: nothing that was acknowledged is lost, nothing
//! happens twice, and the chain holds.
//!
//! The process is this test program itself, which runs [`child`] when it is told where.

#![cfg(all(feature = "failpoints", unix))]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use queenright::consensus::{Verdicts, decide, replay};
use queenright::log::{DiskLog, DiskReader, Durability};
use queenright::{Hive, Op, Outcome, Proposal, Record, State, Version};

/// Where the log is.
const FOLDER: &str = "QUEENRIGHT_CRASH_FOLDER";
/// The number of the first intent that was not tried before.
const NEXT: &str = "QUEENRIGHT_CRASH_NEXT";
/// Intents that were tried, and not answered.
const OPEN: &str = "QUEENRIGHT_CRASH_OPEN";
/// After how many answers the process ends by itself, should nobody stop it.
const UNTIL: &str = "QUEENRIGHT_CRASH_UNTIL";
const MODE: &str = "QUEENRIGHT_CRASH_MODE";
/// How often it is killed at random. 1,000 in the slow tier.
const KILLS: &str = "QUEENRIGHT_KILLS";

const WORKERS: u64 = 4;
const COUNTERS: u64 = 5;

/// Not a test of its own: what is killed.
#[test]
fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let _scenario = fail::FailScenario::setup();
    let number = |name| env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let durability = match env::var(MODE).as_deref() {
        Ok("flush") => Durability::Flush,
        _ => Durability::Durable,
    };
    let options = DiskLog::options().segment_bytes(20_000).image_bytes(10_000);
    let log = options.durability(durability).open(&folder).unwrap();
    let hive = Hive::builder().log(log).build().unwrap();
    let out = Mutex::new(std::io::stdout());
    let say = |line: String| {
        let mut out = out.lock().unwrap();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    let open = env::var(OPEN).unwrap_or_default();
    let open: Vec<u64> = open.split_whitespace().map(|it| it.parse().unwrap()).collect();
    let (open, next) = (Mutex::new(open), AtomicU64::new(number(NEXT).unwrap_or(0)));
    let (answers, until) = (AtomicU64::new(0), number(UNTIL).unwrap_or(20_000));
    let hive = &hive;
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (say, open, next, answers) = (&say, &open, &next, &answers);
            scope.spawn(move || {
                while answers.load(Ordering::Relaxed) < until {
                    let again = open.lock().unwrap().pop();
                    let intent = again.unwrap_or_else(|| next.fetch_add(1, Ordering::Relaxed));
                    say(format!("try {intent}"));
                    let Ok(ticket) = hive.propose(proposal(hive, worker, intent)) else {
                        return say(format!("closed {}", hive.log_failure().unwrap()));
                    };
                    match ticket.wait() {
                        Outcome::Committed { version, order } => {
                            // What is answered can be read.
                            assert!(hive.version() >= version);
                            say(format!("committed {intent} {version} {order}"));
                        }
                        outcome => say(format!("{} {intent}", outcome.name())),
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    // Reads go on, whatever became of the log.
    assert!(hive.snapshot().len() <= 2 * 1_000_000);
}

/// Counts one more, and writes that it did.
fn proposal(hive: &Hive, worker: u64, intent: u64) -> Proposal {
    let snapshot = hive.snapshot();
    let proposal = Proposal::on(&snapshot, format!("worker-{worker}"), format!("intent-{intent}"));
    let counted = proposal.write(format!("counter/{}", intent % COUNTERS), Op::add(1)).unwrap();
    counted.write(format!("done/{intent}"), Op::Set(1.into())).unwrap()
}

/// What a run of the process has said.
#[derive(Default)]
struct Said {
    tried: BTreeSet<u64>,
    committed: BTreeMap<u64, (Version, u32)>,
    unknown: BTreeSet<u64>,
    closed: Vec<String>,
    /// Committed after something was done to it.
    after: BTreeSet<u64>,
}

impl Said {
    /// Without what it has said to be committed after something was done to it.
    fn until_then(mut self) -> Self {
        self.committed.retain(|intent, _| !self.after.contains(intent));
        self
    }
}

/// What is known of all runs so far.
#[derive(Default)]
struct Known {
    next: u64,
    open: BTreeSet<u64>,
    committed: BTreeMap<u64, (Version, u32)>,
}

impl Known {
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        let open: Vec<String> = self.open.iter().map(u64::to_string).collect();
        command
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(NEXT, self.next.to_string())
            .env(OPEN, open.join(" "))
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped());
        command
    }

    /// Lets a process run, and kills it after so many answers, unless it ends before.
    fn run(&mut self, command: &mut Command, kill_after: Option<usize>) -> (Said, ExitStatus) {
        let mut process = command.spawn().unwrap();
        let said = listen(&mut process, kill_after.unwrap_or(usize::MAX), |process| {
            process.kill().unwrap();
        });
        let status = process.wait().unwrap();
        self.learn(&said);
        (said, status)
    }

    /// Takes in what a process has said.
    fn learn(&mut self, said: &Said) {
        for (intent, answer) in &said.committed {
            if let Some(before) = self.committed.insert(*intent, *answer) {
                assert_eq!(before, *answer, "an intent is answered in one way");
            }
        }
        self.next = said.tried.last().map_or(self.next, |last| self.next.max(last + 1));
        self.open.extend(&said.tried);
        self.open.retain(|intent| !self.committed.contains_key(intent));
    }
}

/// Hears what a process says to its end; after so many answers something is done to it.
fn listen(process: &mut Child, after: usize, act: impl Fn(&mut Child)) -> Said {
    let mut said = Said::default();
    let mut answers = 0;
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words.first().copied() {
            Some("try") => drop(said.tried.insert(number(1))),
            Some("committed") => {
                said.committed.insert(number(1), (Version(number(2)), number(3) as u32));
                if answers > after {
                    said.after.insert(number(1));
                }
                answers += 1;
            }
            Some("unknown") => drop(said.unknown.insert(number(1))),
            Some("closed") => said.closed.push(line.clone()),
            // What the test harness prints.
            _ => {}
        }
        // It goes on meanwhile: lines that it has written are still read.
        if answers == after {
            act(process);
            // Now more than that.
            answers += 1;
        }
    }
    said
}

/// The log holds all that was acknowledged, once; and everything in it follows from what is before.
fn check(folder: &Path, known: &Known) {
    let reader = DiskReader::open(folder).unwrap();
    let verified = reader.verify().unwrap();
    assert!(!verified.in_use);
    let records: Vec<Record> =
        reader.after(Version(0)).unwrap().map(|entry| entry.unwrap().record().unwrap()).collect();
    assert_eq!(records.last().map(|record| record.digest).unwrap_or_default(), verified.head);
    let mut committed = BTreeMap::new();
    for record in &records {
        for (proposal, outcome) in record.batch.iter().zip(&record.verdicts.outcomes) {
            let Outcome::Committed { version, order } = *outcome else { continue };
            let intent = proposal.id.as_str().strip_prefix("intent-").unwrap().parse().unwrap();
            if version == record.input.round {
                let before = committed.insert(intent, (version, order));
                assert_eq!(before, None, "intent {intent} was committed twice, and in {version}");
            }
        }
    }
    for (intent, answer) in &known.committed {
        assert_eq!(committed.get(intent), Some(answer), "intent {intent} was acknowledged");
    }
    let state = replay(State::base([]), &records).unwrap();
    for counter in 0..COUNTERS {
        let count = committed.keys().filter(|intent| *intent % COUNTERS == counter).count() as i64;
        let found = state.get(&format!("counter/{counter}")).and_then(|value| value.as_int());
        assert_eq!(found.unwrap_or(0), count, "counter {counter}");
    }
    for intent in committed.keys() {
        assert!(state.get(&format!("done/{intent}")).is_some());
    }
}

/// Lets it finish what was open, so that everything that was tried is committed, once.
fn finish(folder: &Path, known: &mut Known) {
    let until = (known.open.len() as u64 + 10).to_string();
    let (said, status) = known.run(known.command(folder).env(UNTIL, until), None);
    assert!(status.success(), "{status}");
    assert!(said.unknown.is_empty() && said.closed.is_empty());
    assert!(known.open.is_empty(), "{:?}", known.open);
    check(folder, known);
}

fn kills() -> usize {
    env::var(KILLS).ok().and_then(|it| it.parse().ok()).unwrap_or(50)
}

fn killed_at_random(mode: &str, kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut random = 1_u64;
    for kill in 0..kills {
        // A generator of the simplest kind: where it is killed only has to differ.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = (random >> 33) as usize % 40 + 1;
        let mut command = known.command(folder.path());
        let (said, status) = known.run(command.env(MODE, mode), Some(after));
        assert_eq!(status.signal(), Some(9), "{status}");
        assert!(said.committed.len() >= after, "{} answers", said.committed.len());
        if kill % 10 == 0 {
            check(folder.path(), &known);
        }
    }
    finish(folder.path(), &mut known);
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    killed_at_random("durable", kills());
}

/// What the system was given survives the process, synced or not.
#[test]
fn what_was_flushed_survives_kill_9() {
    killed_at_random("flush", kills() / 5);
}

/// Each named place, at several times; the process dies there.
#[test]
fn it_may_be_killed_at_any_point() {
    for point in [
        "log.append.before",
        "log.append.half",
        "log.append.written",
        "log.append.synced",
        "log.roll.created",
        "log.replace.written",
        "log.replace.synced",
        "log.image.written",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::default();
        for times in 0..4 {
            let way = format!("{point}={times}*off->1*return(kill)");
            let mut command = known.command(folder.path());
            let (_, status) = known.run(command.env("FAILPOINTS", &way), None);
            assert_eq!(status.signal(), Some(9), "{way}: {status}");
        }
        finish(folder.path(), &mut known);
    }
}

/// A disk that fails: what was under way is not known, nothing more is committed, reads go on, and the log tells later.
#[test]
fn after_a_failing_write_or_sync_the_log_tells_what_became_of_it() {
    for (point, how, says) in [
        ("log.append.before", "full", "no storage space"),
        ("log.append.half", "full", "no storage space"),
        ("log.append.written", "broken", "a failpoint says so"),
        ("log.append.synced", "broken", "a failpoint says so"),
        ("log.roll.created", "full", "no storage space"),
        ("log.roll.created", "denied", "permission denied"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::default();
        let way = format!("{point}=5*off->1*return({how})");
        let mut command = known.command(folder.path());
        let (said, status) = known.run(command.env("FAILPOINTS", &way), None);
        assert!(status.success(), "{way}: {status}");
        assert!(!said.unknown.is_empty(), "{way}: what was under way is not known");
        assert_eq!(said.closed.len() as u64, WORKERS, "{way}");
        assert!(said.closed.iter().all(|line| line.contains(says)), "{:?}", said.closed);
        check(folder.path(), &known);
        finish(folder.path(), &mut known);
    }
}

/// On a slow disk more goes into each append; nobody waits longer than for that, and reads do not wait at all.
#[test]
fn a_slow_disk_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let mut command = known.command(folder.path());
    command.env("FAILPOINTS", "log.append.written=sleep(20)").env(UNTIL, "40");
    let (said, status) = known.run(&mut command, None);
    assert!(status.success() && said.committed.len() >= 40, "{status}");
    finish(folder.path(), &mut known);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let log = DiskLog::open(folder.path()).unwrap();
    let (said, status) = known.run(known.command(folder.path()).stderr(Stdio::null()), None);
    assert!(!status.success() && said.tried.is_empty(), "{status}");
    drop(log);
    finish(folder.path(), &mut known);
}

/// A file system of its own in a file, mounted for as long as this lives.
struct Disk {
    folder: tempfile::TempDir,
    /// One device for as long as it lives: of two on one file, one may write what the other has never read.
    device: String,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&image).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let device = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        std::fs::create_dir(folder.path().join("mounted")).unwrap();
        let disk = Disk { folder, device };
        disk.mount();
        disk
    }

    fn mounted(&self) -> std::path::PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) {
        run(Command::new("mount").arg(&self.device).arg(self.mounted()));
    }

    fn unmount(&self) {
        run(Command::new("umount").arg(self.mounted()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.mounted()).status();
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// What was never synced is gone, and nothing else.
#[test]
#[ignore = "it mounts a file system, for which it has to be root: `.ci/slow` runs it"]
fn what_was_acknowledged_survives_the_loss_of_power() {
    let cut = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/cut-power");
    let (disk, mut known, mut random) = (Disk::new(), Known::default(), 7_u64);
    let log = disk.mounted().join("log");
    let mut lost = 0;
    for turn in 0..20 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = (random >> 33) as usize % 200 + 1;
        let mut process = known.command(&log).spawn().unwrap();
        let cut = || run(Command::new(&cut).arg(disk.mounted()));
        let said = match turn % 2 {
            // What it has said by then was true; what was not synced is in memory still.
            0 => listen(&mut process, after, |process| {
                process.kill().unwrap();
                process.wait().unwrap();
                cut();
            }),
            // It goes on with a file system that is not there any more. What it says from then on does not count: a sync that is under
            // way at that moment may be told to have succeeded, which no process sees whose power is lost.
            _ => listen(&mut process, after, |_| cut()).until_then(),
        };
        process.wait().unwrap();
        lost += said.unknown.len();
        known.learn(&said);
        disk.unmount();
        disk.mount();
        check(&log, &known);
    }
    assert!(lost > 0, "appends to a file system that is gone have failed");
    finish(&log, &mut known);
}

/// The system says that a sync has failed: a real one, in a process that knows of no failpoint.
#[test]
#[ignore = "it needs strace: `.ci/slow` runs it"]
fn a_sync_that_the_system_refuses_is_told_as_unknown() {
    for when in [1, 2, 5, 30] {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::default();
        let plain = known.command(folder.path());
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"])
            .arg(format!("-einject=fdatasync:error=EIO:when={when}+"))
            .arg(plain.get_program())
            .args(plain.get_args())
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdout(Stdio::piped());
        let (said, status) = known.run(&mut command, None);
        assert!(status.success(), "{status}");
        assert!(!said.unknown.is_empty(), "the sync number {when} has failed");
        assert!(
            said.closed.iter().all(|line| line.contains("could not sync")),
            "{:?}",
            said.closed
        );
        check(folder.path(), &known);
        finish(folder.path(), &mut known);
    }
}

/// Verdicts are recomputed by `replay`; that it would notice another one is shown here.
#[test]
fn a_verdict_that_was_changed_is_noticed() {
    let hive = Hive::builder().build().unwrap();
    let proposal = proposal(&hive, 0, 0);
    assert!(hive.propose(proposal).unwrap().wait().is_committed());
    let mut record = (*hive.history()[0]).clone();
    let base = State::base([]);
    assert_eq!(decide(&base, &record.batch, &record.input), record.verdicts);
    record.verdicts = Verdicts { outcomes: vec![Outcome::Expired], ..record.verdicts };
    assert!(replay(base, [&record]).is_err());
}
