//! Agents that are programs: real ones, that do what they should, and real ones that do everything they should not.
#![cfg(feature = "process")]

#[path = "common/programs.rs"]
mod programs;
#[path = "common/waits.rs"]
mod waits;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use queenright::consensus::{QuorumRule, Threshold};
use queenright::{
    AgentEvent, AgentRef, AgentState, AskError, Hive, Op, Overflow, Program, Proposal, Spawn,
    SpawnError, Supervision, Supervisor, Value,
};

use programs::{counts, is_alive, python, sh, wait_until_dead};
use waits::{LONG, ended, quarantined, strict};

fn hive() -> (Hive, Supervisor) {
    let hive = Hive::builder().build().unwrap();
    let supervisor = hive.supervisor(strict()).unwrap();
    (hive, supervisor)
}

fn spawn(supervisor: &Supervisor, program: Program) -> Result<AgentRef, SpawnError> {
    supervisor.spawn_process("program", Spawn::default(), program)
}

fn failed(spawned: Result<AgentRef, SpawnError>) -> String {
    match spawned {
        Err(SpawnError::Failed { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn wait_for(hive: &Hive, key: &str, value: impl Into<Value>) {
    let (value, deadline) = (value.into(), Instant::now() + LONG);
    while hive.snapshot().get(key) != Some(&value) {
        assert!(Instant::now() < deadline, "{key} is {:?}", hive.snapshot().get(key));
        std::thread::yield_now();
    }
}

fn int(hive: &Hive, key: &str) -> i64 {
    hive.snapshot().get(key).and_then(Value::as_int).unwrap()
}

/// Those that count what this process has are not run beside each other.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_program_reads_proposes_and_is_told() {
    let (hive, supervisor) = hive();
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    hive.transact(|view| Ok(view.set("a/x", 20)?)).unwrap();
    let program = python(
        r#"
         say('hello', protocol=1, keys=['a/x', 'none'], under=['a'], wants=['outcome'])
         welcome = hear(); run = hear()
         assert welcome == {'type': 'welcome', 'protocol': 1, 'agent': 'program'}, welcome
         assert run['keys'] == {'a/x': 20, 'none': None} and run['under'] == {'a': {'a/x': 20}}, run
         say('read', keys=['a/x'], under=[''], peek=True)
         values = hear(); assert values['under'][''] == {'a/x': 20} and values['version'] == run['version']
         say('propose', set={'all': {'$set': [2, 1, 2]}, 'deep': {'list': [1, 2.5, 'x', True]}}, writes=[
            {'op': 'add', 'key': 'a/x', 'by': 22, 'at_most': 50},
            {'op': 'union', 'key': 'tags', 'values': ['b', 'a']},
            {'op': 'constrain', 'key': 'dep', 'requirement': '^1.2'},
            {'op': 'max', 'key': 'peak', 'value': 3}, {'op': 'agree', 'key': 'one', 'value': 'x'}],
            require=[{'key': 'none', 'exists': False}, {'key': 'a/x', 'equals': 20}], next='done')
         told = hear(); assert told['outcome'] == 'committed' and not told['again'], told
         assert hear() == {'type': 'stop'}
         assert sys.stdin.readline() == ''
    "#,
    );
    let agent = spawn(&supervisor, program).unwrap();
    assert_eq!(ended(&agent), AgentState::Done);
    let snapshot = hive.snapshot();
    let text = |key: &str| snapshot.get(key).unwrap().to_string();
    assert_eq!(text("a/x"), "42");
    assert_eq!(text("all"), "{1, 2}");
    assert_eq!(text("deep"), "{list = [1, 2.5, \"x\", true]}");
    assert_eq!(text("tags"), "{\"a\", \"b\"}");
    assert_eq!(
        (text("dep"), text("peak"), text("one")),
        ("^1.2.0".into(), "3".into(), "\"x\"".into())
    );
}

#[test]
fn what_changes_runs_it_again_and_what_loses_too() {
    let (hive, supervisor) = hive();
    let program = python(
        r#"
         say('hello', protocol=1, keys=['a'], wants=['outcome'])
         hear(); outcomes = []
         while True:
            line = hear()
            if line['type'] == 'run':
                if line['keys']['a'] == 7: say('propose', set={'outcomes': outcomes}, next='done')
                else:
                    if not outcomes: say('read', keys=['hold']); hear(); open(sys.argv[1], 'w').close(); open(sys.argv[2]).read()
                    say('propose', set={'b': line['keys']['a'] or 0})
            elif line['type'] == 'outcome': outcomes.append([line['outcome'], line.get('with', ''), line['again']])
            elif line['type'] == 'stop': break
    "#,
    );
    let folder = tempfile::tempdir().unwrap();
    let (begun, go_on) = (folder.path().join("begun"), folder.path().join("pipe"));
    let made = std::process::Command::new("mkfifo").arg(&go_on).status().unwrap();
    assert!(made.success());
    let agent = spawn(&supervisor, program.arg(&begun).arg(&go_on)).unwrap();
    // While it runs, what it has read changes.
    let deadline = Instant::now() + LONG;
    while !begun.exists() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    hive.transact(|view| Ok(view.set("a", 3)?)).unwrap();
    fs::write(&go_on, "go on").unwrap();
    wait_for(&hive, "b", 3);
    hive.transact(|view| Ok(view.set("a", 7)?)).unwrap();
    assert_eq!(ended(&agent), AgentState::Done);
    assert_eq!(
        hive.snapshot().get("outcomes").unwrap().to_string(),
        "[[\"stale-read\", \"transact\", true], [\"committed\", \"\", false]]"
    );
    assert_eq!((agent.stats().refused, agent.stats().committed), (1, 2));
}

#[test]
fn what_it_said_before_it_ended_counts() {
    let (hive, supervisor) = hive();
    for n in 0..20 {
        // So much at once that it has ended before all of it is read.
        let program = python(&format!(
            "say('hello', protocol=1); hear(); hear()\n\
             last = json.dumps({{'type': 'propose', 'set': {{'k/{n}': 1}}, 'next': 'done'}})\n\
             os.write(1, b'{{\"type\":\"heartbeat\"}}\\n' * 2500 + last.encode() + b'\\n'); os._exit(0)"
        ));
        let agent = supervisor.spawn_process(format!("p-{n}"), Spawn::default(), program).unwrap();
        assert_eq!(ended(&agent), AgentState::Done);
    }
    assert_eq!(hive.snapshot().under("k").count(), 20);
}

#[test]
fn it_is_told_things_and_asked_for_its_vote() {
    let (hive, supervisor) = hive();
    let program = python(
        r#"
         say('hello', protocol=1, wants=['message', 'ballot'])
         for text in sys.stdin:
            line = json.loads(text)
            if line['type'] == 'run': say('pass')
            elif line['type'] == 'message' and line['message'] == 'fail': say('reply', error='I will not')
            elif line['type'] == 'message': say('heartbeat'); say('reply', value={'got': line['message']})
            elif line['type'] == 'ballot':
                assert line['agent'] == 'me' and line['needed'] == 1, line
                [write] = line['writes']
                say('vote', vote=write['value'])
    "#,
    );
    let agent = spawn(&supervisor, program).unwrap();
    assert_eq!(agent.ask(5, LONG).unwrap().to_string(), "{got = 5}");
    assert_eq!(agent.ask("fail", LONG), Err(AskError::Failed("I will not".to_owned())));
    let rule = QuorumRule::new(["program"], Threshold::Majority).unwrap();
    for (vote, is_committed) in [("yes", true), ("no", false), ("abstain", false)] {
        let proposal = Proposal::on(&hive.snapshot(), "me", vote);
        let proposal = proposal.write("v", Op::Set(vote.into())).unwrap();
        let ticket = hive.propose(proposal.with_quorum(rule.clone())).unwrap();
        assert_eq!(ticket.wait().is_committed(), is_committed, "{vote}");
    }
    assert_eq!(agent.stats().votes, 3);
    supervisor.stop_all();
    assert_eq!(agent.state(), AgentState::Stopped);
}

#[test]
fn one_that_takes_no_messages_says_so() {
    let (_hive, supervisor) = hive();
    let script = "echo '{\"type\":\"hello\",\"protocol\":1}'; \
        while read -r line; do case $line in *run*) echo '{\"type\":\"pass\"}';; *stop*) exit;; esac; done";
    let agent = spawn(&supervisor, sh(script)).unwrap();
    let told = agent.ask(1, LONG);
    assert_eq!(told, Err(AskError::Failed("the agent takes no messages".to_owned())));
    supervisor.stop_all();
    assert_eq!(agent.state(), AgentState::Stopped);
}

#[test]
fn what_it_may_not_write_is_refused_and_it_goes_on() {
    let (hive, supervisor) = hive();
    hive.transact(|view| Ok(view.set("text", "x")?)).unwrap();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         bad = [{'set': {'a//b': 1}}, {'set': {'a': None}}, {'set': {'a': 1 << 63}}, {'set': {'a': {'$x': 1}}},
            {'set': {'a': 1}, 'writes': [{'op': 'add', 'key': 'text', 'by': 1}]},
            {'writes': [{'op': 'constrain', 'key': 'a', 'requirement': 'x.y'}]},
            {'require': [{'key': 'a'}]}, {'require': [{'key': 'a', 'equals': 1, 'exists': True}]}]
         reasons = []
         for one in bad:
            say('propose', **one); line = hear(); assert line['type'] == 'refused', line; reasons.append(line['reason'])
         say('read', keys=['/']); line = hear(); assert line['type'] == 'refused', line
         say('propose', set={'reasons': reasons}, next='done'); hear()
    "#,
    );
    assert_eq!(ended(&spawn(&supervisor, program).unwrap()), AgentState::Done);
    let snapshot = hive.snapshot();
    assert_eq!(snapshot.get("a"), None, "nothing of what was refused is left");
    let Some(Value::List(reasons)) = snapshot.get("reasons") else { panic!() };
    for (reason, says) in reasons.iter().zip([
        "a//b",
        "null is no value",
        "beyond the integers",
        "`$x`",
        "text:",
        "`x.y`",
        "either `equals` or `exists`",
        "either `equals` or `exists`",
    ]) {
        assert!(reason.as_text().unwrap().contains(says), "{reason} should say {says}");
    }
}

#[test]
fn one_that_is_none_of_ours_is_not_started() {
    let (_hive, supervisor) = hive();
    for (program, says) in [
        (
            Program::new("no-such-program-anywhere"),
            "`no-such-program-anywhere` could not be started",
        ),
        (sh("exit 3"), "exit status: 3"),
        (sh("exec >&-; exit 4"), "exit status: 4"),
        (sh("echo hello there; sleep 60"), "line 1 of its program is none of the protocol"),
        (sh("printf 'no newline'; exit 0"), "its program has"),
        (sh("printf '\\377\\376\\n'; sleep 60"), "none of the protocol"),
        (sh("echo '{\"type\":\"hello\",\"protocol\":2}'; sleep 60"), "version 2 of the protocol"),
        (
            sh("echo '{\"type\":\"hello\",\"protocol\":1,\"wish\":1}'; sleep 60"),
            "unknown field `wish`",
        ),
        (
            sh("echo '{\"type\":\"hello\",\"protocol\":1,\"class\":\"x\"}'; sleep 60"),
            "the class `x`",
        ),
        (sh("echo '{\"type\":\"pass\"}'; sleep 60"), "`pass`, but `hello` was due"),
        (sh("sleep 60").hello_within(Duration::from_millis(50)), "has not said hello within 50ms"),
        (sh("kill -9 $$"), "signal: 9"),
    ] {
        let reason = failed(spawn(&supervisor, program));
        assert!(reason.contains(says), "{reason} should say {says}");
    }
}

#[test]
fn one_that_fails_in_a_run_is_told_apart() {
    let (hive, supervisor) = hive();
    let hello = "say('hello', protocol=1, wants=['message']); hear(); hear()\n";
    for (script, says) in [
        ("say('fail', reason='out of paper')", "out of paper"),
        ("sys.exit(5)", "exit status: 5"),
        ("os.kill(os.getpid(), 9)", "signal: 9"),
        (
            "sys.stdout.write('{\"type\":\"prop'); sys.stdout.flush(); os.kill(os.getpid(), 9)",
            "signal: 9",
        ),
        (
            "print('}{'); sys.stdout.flush(); time.sleep(60)",
            "line 2 of its program is none of the protocol",
        ),
        ("print('x' * (3 << 20), flush=True); time.sleep(60)", "more than 1048576 bytes"),
        ("print('[' * 100000, flush=True); time.sleep(60)", "none of the protocol"),
        ("say('propose', wrties=[]); time.sleep(60)", "unknown field `wrties`"),
        ("say('reply', value=1); time.sleep(60)", "`reply`, but `propose` was due"),
        ("say('pass'); say('pass'); time.sleep(60)", "but nothing was asked"),
        ("os.close(1); time.sleep(60)", "closed its output"),
        ("say('pass'); sys.exit(0)", "exit status: 0"),
    ] {
        let agent = spawn(&supervisor, python(&format!("{hello}{script}"))).unwrap();
        let reason = quarantined(&agent);
        assert!(reason.contains(says), "{script}: {reason} should say {says}");
        assert_eq!(agent.stats().failures, 1);
    }
    assert_eq!(hive.version().0, 0, "nothing of it was committed");
}

#[test]
fn a_line_of_a_gigabyte_costs_no_more_than_a_line_may() {
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let (_hive, supervisor) = hive();
    let most = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = most();
    let script = "say('hello', protocol=1); hear(); hear()\n\
        while True: sys.stdout.write('x' * (1 << 20))\n";
    let agent = spawn(&supervisor, python(script)).unwrap();
    assert!(quarantined(&agent).contains("a line of more than"));
    assert!(most() - before < 32 * 1024, "{} KiB more", most() - before);
}

#[test]
fn one_that_fails_is_started_again_as_another_process() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         if not os.path.exists(sys.argv[1]): open(sys.argv[1], 'w').close(); os.kill(os.getpid(), 9)
         say('propose', set={'pid': os.getpid()}, next='done'); hear()
    "#,
    );
    let agent = spawn(&supervisor, program.arg(&mark)).unwrap();
    assert_eq!(ended(&agent), AgentState::Done);
    let event = supervisor.next_event(LONG);
    assert!(
        matches!(&event, Some(AgentEvent::Restarted { reason, .. }) if reason.contains("signal: 9")),
        "{event:?}"
    );
    assert_eq!((agent.stats().restarts, agent.stats().runs), (1, 2));
}

#[test]
fn one_that_hangs_is_killed_with_all_that_it_has_started() {
    let (hive, supervisor) = hive();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         child = subprocess.Popen(['sleep', '600'])
         say('propose', set={'pid': os.getpid(), 'child': child.pid}); hear()
         time.sleep(600)
    "#,
    );
    let patience = Spawn::default().hang_after(Duration::from_millis(200));
    let patience = patience.overflow(Overflow::DropOldest);
    let agent = supervisor.spawn_process("program", patience, program.env("X", "y")).unwrap();
    hive.transact(|view| Ok(view.set("other", 1)?)).unwrap();
    let deadline = Instant::now() + LONG;
    while hive.snapshot().get("child").is_none() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let (pid, child) = (int(&hive, "pid"), int(&hive, "child"));
    assert!(is_alive(pid) && is_alive(child));
    // Messages are no sign of life.
    while !agent.state().is_over() {
        let _ = agent.tell(1);
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(quarantined(&agent).contains("hangs"), "{}", agent.state());
    wait_until_dead(pid);
    wait_until_dead(child);
}

#[test]
fn heartbeats_keep_one_alive_that_takes_long() {
    let (_hive, supervisor) = hive();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         for _ in range(40): time.sleep(0.02); say('heartbeat')
         say('pass', next='done'); hear()
    "#,
    );
    let patience = Spawn::default().hang_after(Duration::from_millis(400));
    let agent = supervisor.spawn_process("program", patience, program).unwrap();
    assert_eq!(ended(&agent), AgentState::Done);
}

#[test]
fn one_that_does_not_stop_is_killed_after_its_time() {
    let (hive, supervisor) = hive();
    let program = python(
        r#"
         signal.signal(signal.SIGTERM, signal.SIG_IGN)
         say('hello', protocol=1); hear(); hear(); say('propose', set={'pid': os.getpid()})
         while True: time.sleep(1)
    "#,
    );
    let agent = spawn(&supervisor, program.stop_within(Duration::from_millis(50))).unwrap();
    agent.wait_for(|state| *state == AgentState::Waiting);
    let pid = int(&hive, "pid");
    agent.stop();
    assert_eq!(agent.join_timeout(LONG), Some(AgentState::Stopped));
    assert!(!is_alive(pid), "it is gone before anybody is told that it stopped");
}

#[test]
fn one_that_floods_or_does_not_read_costs_little() {
    let (hive, supervisor) = hive();
    let base: String = "x".repeat(60_000);
    hive.transact(|view| Ok(view.set("big", base.as_str())?)).unwrap();
    // It asks for a hundred times as much as may wait for it, and reads none of it.
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         import threading
         threading.Thread(target=lambda: (time.sleep(0.3), os._exit(9))).start()
         while True: sys.stdout.write('{"type":"read","keys":["big"]}\n' * 1000)
    "#,
    );
    let agent = spawn(&supervisor, program).unwrap();
    let reason = quarantined(&agent);
    assert!(reason.contains("exit status: 9"), "{reason}");
    // One that writes more than it is asked is stopped by its first line too much, and one that sends nothing but
    // heartbeats is heard for as long as it likes.
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         sys.stdout.write('{"type":"heartbeat"}\n' * 100000); say('pass', next='done'); hear()
    "#,
    );
    assert_eq!(ended(&spawn(&supervisor, program).unwrap()), AgentState::Done);
}

#[test]
fn a_hive_that_is_dropped_leaves_no_process_thread_or_file() {
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let round = || {
        let (hive, supervisor) = hive();
        let scripts = [
            "say('hello', protocol=1); hear(); hear(); say('propose', set={'p/%d' % os.getpid(): 1}); time.sleep(600)",
            "say('hello', protocol=1); hear(); hear(); say('propose', set={'p/%d' % os.getpid(): 1}); hear(); hear()",
            "say('hello', protocol=1); time.sleep(600)",
        ];
        for (n, script) in scripts.into_iter().enumerate() {
            supervisor.spawn_process(format!("p-{n}"), Spawn::default(), python(script)).unwrap();
        }
        let deadline = Instant::now() + LONG;
        while hive.snapshot().under("p").count() < 2 {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        let pids = hive
            .snapshot()
            .under("p")
            .map(|(key, _)| key.as_str()[2..].parse().unwrap())
            .collect::<Vec<i64>>();
        let began = Instant::now();
        drop(hive);
        assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
        pids.into_iter().for_each(wait_until_dead);
    };
    round();
    let before = counts();
    for _ in 0..3 {
        round();
    }
    // Tests beside this one have threads and processes of their own, but those that it would leak only grow.
    let after = counts();
    assert!(
        after.iter().zip(before).all(|(after, before)| *after <= before + 40),
        "{before:?} {after:?}"
    );
}

#[test]
fn a_shell_and_a_python_agent_share_one_stock() {
    let (hive, supervisor) = hive();
    hive.transact(|view| Ok(view.set("stock", 10)?)).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/processes");
    let clerk = Program::new("python3").arg(scripts.join("clerk.py"));
    let clerk = supervisor.spawn_process("clerk", Spawn::default(), clerk).unwrap();
    let gauge = Program::new("sh").arg(scripts.join("gauge.sh"));
    supervisor.spawn_process("gauge", Spawn::default(), gauge).unwrap();
    wait_for(&hive, "low", false);
    hive.transact(|view| Ok((0..4).try_for_each(|n| view.set(format!("orders/{n}"), 2))?)).unwrap();
    wait_for(&hive, "low", true);
    wait_for(&hive, "stock", 2);
    assert_eq!(clerk.ask("filled", LONG).unwrap().as_int(), Some(4));
    hive.transact(|view| Ok(view.set("stock", 30)?)).unwrap();
    wait_for(&hive, "low", false);
    supervisor.stop_all();
}

/// A program is looked for as a shell does, and its folder and environment are what they were set to.
#[test]
fn a_program_runs_where_it_was_told_to() {
    let (hive, supervisor) = hive();
    let folder = tempfile::tempdir().unwrap();
    let script: PathBuf = folder.path().join("agent");
    let lines = "#!/bin/sh\necho '{\"type\":\"hello\",\"protocol\":1}'; read -r welcome; read -r run\n\
        echo \"{\\\"type\\\":\\\"propose\\\",\\\"set\\\":{\\\"here\\\":\\\"$(pwd)\\\",\\\"name\\\":\\\"$QUEENRIGHT_AGENT\\\",\\\"x\\\":\\\"$X\\\"},\\\"next\\\":\\\"done\\\"}\"\n\
        read -r stop\n";
    fs::write(&script, lines).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::new(&script).current_dir(folder.path()).env("X", "y");
    assert_eq!(ended(&spawn(&supervisor, program).unwrap()), AgentState::Done);
    let snapshot = hive.snapshot();
    let text = |key: &str| snapshot.get(key).and_then(Value::as_text).unwrap().to_owned();
    let here = fs::canonicalize(folder.path()).unwrap();
    assert_eq!(fs::canonicalize(text("here")).unwrap(), here);
    assert_eq!((text("name"), text("x")), ("program".to_owned(), "y".to_owned()));
}
