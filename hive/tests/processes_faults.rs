//! Faults that agents had which are programs: those that flood, hide, lie, or end at the wrong time.
#![cfg(feature = "process")]

#[path = "common/programs.rs"]
mod programs;
#[path = "common/waits.rs"]
mod waits;

use std::fs;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use programs::{Gate, counts, is_alive, python, sh, wait_until_dead, with_variable};
use queenright::{
    AgentError, AgentEvent, AgentRef, AgentState, AskError, AsyncAgent, Hive, Key, Next, Overflow,
    Program, Spawn, SpawnError, Strategy, Supervision, Supervisor, Value, View, agent,
};
use waits::{
    Busy, Door, LONG, ended, hive_with, hold_queen, ms, number, put_to_vote, quarantined, strict,
    voted_on, wait_until,
};

fn one_for_all() -> Supervision {
    Supervision { strategy: Strategy::OneForAll, ..Supervision::default() }
}

fn spawn(supervisor: &Supervisor, program: Program) -> AgentRef {
    supervisor.spawn_process("program", Spawn::default(), program).unwrap()
}

/// A program that has told its number, and does nothing more.
fn spawn_idle(hive: &Hive, supervisor: &Supervisor) -> (AgentRef, i64) {
    let program = "say('hello', protocol=1); hear(); hear(); say('propose', set={'pid': os.getpid()}); time.sleep(600)";
    let agent = spawn(supervisor, python(program));
    agent.wait_for(|state| *state == AgentState::Waiting);
    let pid = number(hive, "pid").unwrap();
    assert!(is_alive(pid));
    (agent, pid)
}

/// Waits until another agent has had its turns, and is done.
fn another_has_its_turns(supervisor: &Supervisor) {
    let supervisor = supervisor.clone();
    let (sender, told) = mpsc::channel();
    thread::spawn(move || {
        let done = || Ok(agent("other", |_| Ok(Next::Done)));
        let other = supervisor.spawn("other", Spawn::default(), done);
        let _ = sender.send(other.map(|other| other.join()));
    });
    let other = told.recv_timeout(LONG).expect("no other has its turns");
    assert_eq!(other, Ok(AgentState::Done));
}

/// Those that count what this process has are not run beside each other.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn one_that_is_killed_is_gone_though_all_workers_are_busy() {
    let (hive, supervisor) = hive_with(1, strict());
    let busy = Busy::of(&hive);
    let (agent, pid) = spawn_idle(&hive, &supervisor);
    busy.begin(LONG * 2);
    agent.kill();
    // The worker is still busy, as nobody has told it to end.
    wait_until_dead(pid);
    busy.end();
}

#[test]
fn a_hive_that_is_dropped_kills_programs_at_once_though_an_agent_hangs() {
    let (hive, supervisor) = hive_with(1, strict());
    let busy = Busy::of(&hive);
    let (_agent, pid) = spawn_idle(&hive, &supervisor);
    busy.begin(LONG * 2);
    let dropped = thread::spawn(move || drop(hive));
    wait_until_dead(pid);
    busy.end();
    dropped.join().unwrap();
}

/// That nobody has had time to look is not its fault.
#[test]
fn heartbeats_are_heard_though_all_workers_are_busy() {
    let (hive, supervisor) = hive_with(1, strict());
    let busy = Busy::of(&hive);
    let gate = Gate::new();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         for _ in range(60): time.sleep(0.02); say('heartbeat')
         open(sys.argv[1] + '/beaten', 'w').close(); say('pass', next='done'); hear()
    "#,
    );
    let patience = Spawn::default().hang_after(ms(500));
    let agent = supervisor.spawn_process("program", patience, program.arg(gate.path())).unwrap();
    busy.begin(LONG);
    let beaten = gate.file("beaten");
    wait_until("it took longer than it may be silent", || beaten.exists());
    busy.end();
    assert_eq!(ended(&agent), AgentState::Done);
}

#[test]
fn a_hello_in_time_counts_though_all_workers_are_busy() {
    let (hive, supervisor) = hive_with(1, strict());
    let busy = Busy::of(&hive);
    let gate = Gate::new();
    let program = python(
        "wait(); say('hello', protocol=1); hear(); hear(); say('pass', next='done'); hear()",
    )
    .arg(gate.path())
    .hello_within(ms(2000));
    let spawned =
        thread::spawn(move || supervisor.spawn_process("program", Spawn::default(), program));
    gate.is_reached();
    busy.begin(ms(2500));
    gate.open();
    assert_eq!(ended(&spawned.join().unwrap().unwrap()), AgentState::Done);
}

/// How long an end may take is for the program to say, not for its runs.
#[test]
fn one_that_is_done_and_slow_to_end_is_not_run_again() {
    let (hive, supervisor) = hive_with(2, Supervision::default());
    let program = python(
        "say('hello', protocol=1); hear(); hear(); say('propose', writes=[{'op': 'add', 'key': 'n', 'by': 1}], next='done')\n\
         hear(); time.sleep(1.2)",
    );
    let patience = Spawn::default().hang_after(ms(400));
    let agent = supervisor.spawn_process("program", patience, program).unwrap();
    assert_eq!((ended(&agent), number(&hive, "n")), (AgentState::Done, Some(1)));
    assert_eq!((agent.stats().runs, agent.stats().failures), (1, 0));
}

/// Its time begins when it is told, not when it has read that.
#[test]
fn one_that_does_not_read_is_killed_when_its_time_to_stop_is_over() {
    let (hive, supervisor) = hive_with(2, strict());
    hive.transact(|view| Ok(view.set("big", "x".repeat(300_000))?)).unwrap();
    let program = python(
        r#"
         say('hello', protocol=1, keys=['big']); seen = b''
         while b'"run"' not in seen: seen += os.read(0, 1)
         say('pass'); time.sleep(600)
    "#,
    );
    let agent = spawn(&supervisor, program.stop_within(ms(200)));
    agent.wait_for(|state| *state == AgentState::Waiting);
    agent.stop();
    assert_eq!(ended(&agent), AgentState::Stopped);
}

#[test]
fn a_time_to_stop_that_no_clock_reaches_is_none() {
    let (_hive, supervisor) = hive_with(2, strict());
    let program = python(
        "say('hello', protocol=1); hear(); hear(); say('pass'); hear(); time.sleep(0.2); open(sys.argv[1] + '/end', 'w')",
    );
    let gate = Gate::new();
    let agent = spawn(&supervisor, program.arg(gate.path()).stop_within(Duration::MAX));
    agent.wait_for(|state| *state == AgentState::Waiting);
    agent.stop();
    assert_eq!(ended(&agent), AgentState::Stopped);
    assert!(gate.file("end").exists(), "it had all the time that it wanted");
}

/// All that is left of it is its end.
#[test]
fn one_that_is_done_is_not_started_again_with_others() {
    let (hive, supervisor) = hive_with(2, one_for_all());
    let gate = Gate::new();
    let program = python(
        "say('hello', protocol=1); hear(); hear(); say('propose', writes=[{'op': 'add', 'key': 'n', 'by': 1}], next='done')\n\
         hear(); wait()",
    );
    let program = program.arg(gate.path()).stop_within(LONG);
    let done = spawn(&supervisor, program);
    gate.is_reached();
    let mut is_first = true;
    let make = move || {
        let fails = std::mem::take(&mut is_first);
        Ok(agent("fails", move |_| if fails { Err(AgentError::new("x")) } else { Ok(Next::Done) }))
    };
    let fails = supervisor.spawn("fails", Spawn::default(), make).unwrap();
    assert_eq!((ended(&fails), fails.stats().restarts), (AgentState::Done, 1));
    gate.open();
    assert_eq!((ended(&done), number(&hive, "n")), (AgentState::Done, Some(1)));
    assert_eq!(done.stats().restarts, 0);
}

#[test]
fn one_that_closes_its_output_has_all_of_its_time_to_stop() {
    let (_hive, supervisor) = hive_with(2, strict());
    let gate = Gate::new();
    let program = python(
        "say('hello', protocol=1); hear(); hear(); say('pass'); hear()\n\
         os.close(1); time.sleep(1.2)\n\
         open(sys.argv[1] + '/end', 'w')",
    );
    let agent = spawn(&supervisor, program.arg(gate.path()).stop_within(LONG));
    agent.wait_for(|state| *state == AgentState::Waiting);
    agent.stop();
    assert_eq!(ended(&agent), AgentState::Stopped);
    assert!(gate.file("end").exists());
}

/// Otherwise nobody would learn what has become of its last proposal.
#[test]
fn one_that_says_bye_after_a_proposal_is_over_with_its_outcome() {
    let (hive, supervisor) = hive_with(2, strict());
    let gate = Gate::new();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear(); wait()
         last = [{'type': 'propose', 'set': {'x': 1}}, {'type': 'bye'}]
         os.write(1, ''.join(json.dumps(line) + '\n' for line in last).encode()); hear()
    "#,
    );
    let agent = spawn(&supervisor, program.arg(gate.path()));
    gate.is_reached();
    let held = hold_queen(&hive);
    gate.open();
    wait_until("it has proposed", || agent.stats().proposed == 1);
    drop(held);
    assert_eq!(ended(&agent), AgentState::Done);
    assert_eq!((number(&hive, "x"), agent.stats().committed), (Some(1), 1));
}

/// There is nobody to try it again, so that another has to.
#[test]
fn one_that_says_bye_and_loses_has_failed() {
    let (hive, supervisor) = hive_with(2, Supervision::default());
    hive.transact(|view| Ok(view.set("from", 1)?)).unwrap();
    let gate = Gate::new();
    let program = python(
        r#"
         say('hello', protocol=1, keys=['from']); hear(); run = hear()
         if run['keys']['from'] == 1: wait()
         last = [{'type': 'propose', 'set': {'to': run['keys']['from']}}, {'type': 'bye'}]
         os.write(1, ''.join(json.dumps(line) + '\n' for line in last).encode()); hear()
    "#,
    );
    let agent = spawn(&supervisor, program.arg(gate.path()));
    gate.is_reached();
    hive.transact(|view| Ok(view.set("from", 2)?)).unwrap();
    gate.open();
    assert_eq!((ended(&agent), number(&hive, "to")), (AgentState::Done, Some(2)));
    let events = supervisor.events();
    assert!(
        matches!(&events[..], [AgentEvent::Restarted { reason, .. }] if reason.contains("has lost")),
        "{events:?}"
    );
}

/// What it has proposed is its last word, so that it is not missed.
#[test]
fn one_that_is_done_may_end_before_its_outcome() {
    let (hive, supervisor) = hive_with(2, Supervision::default());
    let gate = Gate::new();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear(); wait(); open(sys.argv[1] + '/pid', 'w').write(str(os.getpid()))
         say('propose', writes=[{'op': 'add', 'key': 'n', 'by': 1}], next='done'); os._exit(0)
    "#,
    );
    let agent = spawn(&supervisor, program.arg(gate.path()));
    gate.is_reached();
    let held = hold_queen(&hive);
    gate.open();
    wait_until("it has proposed", || agent.stats().proposed == 1);
    wait_until_dead(fs::read_to_string(gate.file("pid")).unwrap().parse().unwrap());
    drop(held);
    assert_eq!((ended(&agent), number(&hive, "n")), (AgentState::Done, Some(1)));
    assert_eq!((agent.stats().runs, agent.stats().failures), (1, 0));

    // In shell it is as short as that.
    let script = "echo '{\"type\":\"hello\",\"protocol\":1}'; read a; read b\n\
        echo '{\"type\":\"propose\",\"writes\":[{\"op\":\"add\",\"key\":\"m\",\"by\":1}],\"next\":\"done\"}'";
    for n in 1..=40 {
        let agent = spawn(&supervisor, sh(script));
        assert_eq!((ended(&agent), agent.stats().failures), (AgentState::Done, 0));
        assert_eq!(number(&hive, "m"), Some(n));
    }
}

/// It was not asked for its vote while it had proposed something, and what its first life has proposed does not count.
#[test]
fn one_that_is_started_again_with_others_while_it_has_proposed_counts_once() {
    struct Fails(Door, bool);
    impl AsyncAgent for Fails {
        async fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
            if self.1 {
                self.0.clone().await;
                return Err(AgentError::new("x"));
            }
            Ok(Next::Done)
        }
    }
    let (hive, supervisor) = hive_with(2, one_for_all());
    let gate = Gate::new();
    let program = python(
        r#"
         is_first = not os.path.exists(sys.argv[1] + '/begun')
         say('hello', protocol=1, wants=['ballot'])
         while True:
            line = hear()
            if line['type'] == 'run':
                if is_first: wait()
                say('propose', writes=[{'op': 'add', 'key': 'n', 'by': 1}], next='done')
            elif line['type'] == 'ballot':
                if is_first: time.sleep(600)
                say('vote', vote=None)
            elif line['type'] == 'stop': break
    "#,
    );
    let agent = spawn(&supervisor, program.arg(gate.path()));
    let (door, mut is_first) = (Door::default(), true);
    let its = door.clone();
    let make = move || Ok(Fails(its.clone(), std::mem::take(&mut is_first)));
    let fails = supervisor.spawn_async("fails", Spawn::default(), make).unwrap();
    gate.is_reached();
    let asks = put_to_vote(&hive, "asks", &["program"]);
    let held = hold_queen(&hive);
    gate.open();
    wait_until("it has proposed", || agent.stats().proposed == 1);
    door.open();
    assert_eq!(ended(&fails), AgentState::Done);
    drop(held);
    assert_eq!((ended(&agent), number(&hive, "n")), (AgentState::Done, Some(1)));
    assert_eq!(agent.stats().restarts, 1);
    asks.cancel();
}

#[test]
fn one_that_has_left_its_group_is_killed_as_well() {
    let (hive, supervisor) = hive_with(2, strict());
    let program = python(
        "os.setpgid(0, os.getpgid(os.getppid()))\n\
         say('hello', protocol=1); hear(); hear(); say('propose', set={'pid': os.getpid()}); time.sleep(600)",
    );
    let agent = spawn(&supervisor, program);
    agent.wait_for(|state| *state == AgentState::Waiting);
    let pid = number(&hive, "pid").unwrap();
    agent.kill();
    wait_until_dead(pid);
}

/// A heartbeat of so many bytes, in shell.
fn heartbeat(spaces: usize) -> String {
    format!("L=\"{{\\\"type\\\":\\\"heartbeat\\\"$(head -c {spaces} /dev/zero | tr '\\0' ' ')}}\"")
}

/// What it has left behind writes on in its name.
#[test]
fn its_end_is_noticed_though_another_writes_on() {
    for (spaces, pass) in [(0, ""), (100_000, ""), (100_000, "echo '{\"type\":\"pass\"}'")] {
        let (_hive, supervisor) = hive_with(2, strict());
        let long = heartbeat(spaces);
        let script = format!(
            "{long}; echo '{{\"type\":\"hello\",\"protocol\":1}}'; read a; read b\n{pass}\n\
             setsid timeout 60 yes \"$L\" & sleep 0.2; exit 7"
        );
        let reason = quarantined(&spawn(&supervisor, sh(&script)));
        assert!(reason.contains("exit status: 7"), "{reason}");
    }
}

/// What it says is looked at a little at a time.
#[test]
fn one_that_floods_does_not_keep_others_from_their_turns() {
    let keys: Vec<_> = (0..200).map(|n| format!("\\\"k/{n}\\\"")).collect();
    let read = format!("L=\"{{\\\"type\\\":\\\"read\\\",\\\"keys\\\":[{}]}}\"", keys.join(","));
    let (pass, yes) = ("echo '{\"type\":\"pass\"}'", "exec yes \"$L\"");
    for (line, pass, flood) in [
        (heartbeat(0), "", yes),
        (heartbeat(0), pass, yes),
        (heartbeat(100_000), pass, yes),
        (read, "", "yes \"$L\" & exec cat >/dev/null"),
    ] {
        let (hive, supervisor) = hive_with(1, strict());
        let gate = Gate::new();
        let script = format!(
            "{line}; echo '{{\"type\":\"hello\",\"protocol\":1}}'; read a; read b\n{pass}\n: > \"$0/begun\"; {flood}"
        );
        let agent = spawn(&supervisor, sh(&script).arg(gate.path()));
        gate.is_reached();
        for _ in 0..5 {
            another_has_its_turns(&supervisor);
        }
        assert!(!agent.state().is_over(), "{}", agent.state());
        agent.kill();
        let began = Instant::now();
        drop(hive);
        assert!(began.elapsed() < LONG / 10, "took {:?}", began.elapsed());
    }
}

#[test]
fn what_is_asked_for_more_than_once_is_told_once() {
    let base = (0..500).map(|n| (Key::new(format!("k/{n}")).unwrap(), Value::from(n)));
    let hive = Hive::builder().base(base).build().unwrap();
    let supervisor = hive.supervisor(strict()).unwrap();
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         say('read', under=[''] * 100000, keys=['k/1'] * 50000)
         values = hear(); assert values['keys'] == {'k/1': 1} and len(values['under']['']) == 500, values
         say('pass', next='done'); hear()
    "#,
    );
    assert_eq!(ended(&spawn(&supervisor, program)), AgentState::Done);
}

/// Each operation is merged with those before it, so that many of them cost far more than one line.
#[test]
fn of_many_operations_on_one_key_all_are_refused() {
    let (hive, supervisor) = hive_with(1, strict());
    let program = python(
        r#"
         say('hello', protocol=1); hear(); hear()
         unions = lambda many: [{'op': 'union', 'key': 'a', 'values': [n]} for n in range(many)]
         for many in [65, 20000]:
            say('propose', writes=unions(many)); line = hear()
            assert line == {'type': 'refused', 'reason': 'a: more than 64 operations in one proposal'}, line
         say('propose', writes=unions(64), next='done'); hear()
    "#,
    );
    assert_eq!(ended(&spawn(&supervisor, program)), AgentState::Done);
    let Some(Value::Set(all)) = hive.snapshot().get("a").cloned() else { panic!() };
    assert_eq!(all.len(), 64);
}

/// It may write as much as is kept for it and as goes into its pipe, and has to wait then.
#[test]
fn of_one_that_does_not_read_no_more_than_its_share_is_kept() {
    let (hive, supervisor) = hive_with(2, strict());
    hive.transact(|view| Ok(view.set("big", "x".repeat(1_300_000))?)).unwrap();
    // Beside what is kept there is a line that has begun.
    for (spaces, most) in [(0, 256 << 10), (20_000, 2 << 20), (1_040_000, 4 << 20)] {
        let gate = Gate::new();
        let program = python(
            r#"
             import select
             say('hello', protocol=1, keys=['big']); seen = b''
             while b'"run"' not in seen: seen += os.read(0, 1)
             os.set_blocking(1, False)
             line = b'{"type":"heartbeat"' + b' ' * int(sys.argv[2]) + b'}\n'
             lines = line * max(1, 60000 // len(line)); rest = lines; written = 0
             while written < 1 << 25 and select.select([], [1], [], 0.5)[1]:
                count = os.write(1, rest); written += count; rest = rest[count:] or lines
             open(sys.argv[1] + '/new', 'w').write(str(written)); os.rename(sys.argv[1] + '/new', sys.argv[1] + '/written')
             time.sleep(600)
        "#,
        );
        let agent = spawn(&supervisor, program.arg(gate.path()).arg(spaces.to_string()));
        let written = gate.file("written");
        wait_until("it may write no more", || written.exists());
        let written: u64 = fs::read_to_string(written).unwrap().parse().unwrap();
        assert!(written < most, "{written} bytes in lines of {spaces}");
        assert!(!agent.state().is_over(), "{}", agent.state());
        agent.kill();
    }
}

/// A start has its own time, and messages are no run.
#[test]
fn one_that_is_told_things_in_a_long_start_does_not_hang() {
    let (_hive, supervisor) = hive_with(2, strict());
    let gate = Gate::new();
    let program = python(
        "wait(); say('hello', protocol=1); hear(); hear(); say('pass', next='done'); hear()",
    );
    let (program, others) = (program.arg(gate.path()).hello_within(LONG), supervisor.clone());
    let patience = Spawn::default().hang_after(ms(400)).overflow(Overflow::DropNewest);
    let spawned = thread::spawn(move || others.spawn_process("program", patience, program));
    gate.is_reached();
    let [agent] = &supervisor.agents()[..] else { panic!() };
    let began = Instant::now();
    while began.elapsed() < ms(1200) {
        agent.tell(1).unwrap();
        thread::yield_now();
    }
    gate.open();
    assert_eq!(ended(&spawned.join().unwrap().unwrap()), AgentState::Done);
}

#[test]
fn values_as_deep_as_may_be_come_back_as_they_were() {
    let mut value = Value::from(1);
    for _ in 0..63 {
        value = Value::set([value]);
    }
    let (hive, supervisor) = hive_with(2, strict());
    hive.transact(|view| Ok(view.set("deep", value.clone())?)).unwrap();
    let program = python(
        "say('hello', protocol=1, keys=['deep']); hear(); run = hear()\n\
         say('propose', set={'copy': run['keys']['deep']}, next='done'); hear()",
    );
    assert_eq!(ended(&spawn(&supervisor, program)), AgentState::Done);
    assert_eq!(hive.snapshot().get("copy"), Some(&value));
}

#[test]
fn a_reply_that_is_no_value_breaks_the_protocol() {
    for (reply, says) in [("deep", "nested more than 64 levels deep"), ("None", "either")] {
        let (_hive, supervisor) = hive_with(2, strict());
        let program = python(&format!(
            "say('hello', protocol=1, wants=['message']); hear(); deep = 1\n\
             for _ in range(100): deep = [deep]\n\
             while True:\n  kind = hear()['type']\n  if kind == 'run': say('pass')\n  \
               elif kind == 'message': say('reply', value={reply})"
        ));
        let agent = spawn(&supervisor, program);
        let Err(AskError::Failed(error)) = agent.ask(1, LONG) else { panic!("{reply} is none") };
        assert!(error.contains(says), "{error}");
        assert_eq!(quarantined(&agent), error);
    }
}

#[test]
fn one_that_asks_for_what_is_no_key_is_not_started() {
    let (_hive, supervisor) = hive_with(2, strict());
    for field in ["keys", "under"] {
        let program =
            python(&format!("say('hello', protocol=1, {field}=['a//b']); hear(); hear()"));
        let spawned = supervisor.spawn_process("program", Spawn::default(), program);
        let Err(SpawnError::Failed { reason, .. }) = spawned else { panic!("{spawned:?}") };
        assert!(reason.contains("a//b"), "{reason}");
    }
}

/// Tests beside these have threads and processes of their own, but those that these would leak are more.
fn no_more_than(before: [usize; 3]) {
    let is_so = || counts().iter().zip(before).all(|(after, before)| *after <= before + 40);
    wait_until("nothing is left", is_so);
}

#[test]
fn of_those_that_are_ended_in_every_way_nothing_is_left() {
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let script = "echo '{\"type\":\"hello\",\"protocol\":1}'; read a; read b; echo '{\"type\":\"pass\"}'; read c";
    let (_hive, supervisor) = hive_with(2, Supervision::default());
    let before = counts();
    for n in 0..100 {
        let agent = spawn(&supervisor, sh(script).env("ENDED_IN", "every way"));
        match n % 3 {
            0 => agent.kill(),
            1 => agent.stop(),
            _ => {
                agent.wait_for(|state| *state == AgentState::Waiting);
                agent.stop();
            }
        }
        assert!(ended(&agent).is_over());
    }
    wait_until("no program is left", || with_variable("ENDED_IN=every way") == 0);
    no_more_than(before);
}

#[test]
fn of_a_hive_that_is_dropped_while_many_start_nothing_is_left() {
    let _alone = ALONE.lock().unwrap_or_else(|it| it.into_inner());
    let before = counts();
    for round in 0..6 {
        let (hive, supervisor) = hive_with(2, Supervision::default());
        let starts = (0..15).map(|n| {
            let program = sh("echo '{\"type\":\"hello\",\"protocol\":1}'; exec sleep 600")
                .env("DROPPED", "x");
            let supervisor = supervisor.clone();
            let name = format!("p-{n}");
            thread::spawn(move || supervisor.spawn_process(name, Spawn::default(), program))
        });
        let starts: Vec<_> = starts.collect();
        // At another moment each time.
        wait_until("some are there", || supervisor.agents().len() >= round * 3);
        let began = Instant::now();
        drop(hive);
        assert!(began.elapsed() < LONG / 6, "took {:?}", began.elapsed());
        starts.into_iter().for_each(|start| drop(start.join().unwrap()));
        wait_until("no program is left", || with_variable("DROPPED=x") == 0);
    }
    no_more_than(before);
}

/// Each proposal has its outcome, and each message that was answered was read.
#[test]
fn one_that_is_stopped_at_any_time_leaves_nothing_open() {
    let (hive, supervisor) = hive_with(2, strict());
    let script = r#"
     say('hello', protocol=1, wants=['message', 'outcome', 'ballot'])
     while True:
        line = hear()
        if line['type'] == 'run': say('propose', writes=[{'op': 'add', 'key': 'n', 'by': 1}])
        elif line['type'] == 'message': say('reply', value=line['message'])
        elif line['type'] == 'ballot': say('vote', vote='yes')
        elif line['type'] == 'stop': break
    "#;
    for round in 0..12_u64 {
        let before = number(&hive, "n").unwrap_or(0);
        let agent = spawn(&supervisor, python(script));
        let asked = agent.clone();
        let asks = thread::spawn(move || {
            let mut answers = 0;
            while asked.ask(1, LONG).is_ok() {
                answers += 1;
            }
            answers
        });
        let open = |n| voted_on(&hive, &format!("p-{round}-{n}"), 1, &["program"]);
        let tickets: Vec<_> = (0..round % 4).map(|n| hive.propose(open(n)).unwrap()).collect();
        wait_until("it has read some", || agent.stats().messages >= round);
        agent.stop();
        assert_eq!(ended(&agent), AgentState::Stopped);
        let (stats, answers) = (agent.stats(), asks.join().unwrap());
        assert_eq!(stats.proposed, stats.committed + stats.refused, "{stats:?}");
        assert_eq!(number(&hive, "n").unwrap_or(0) - before, stats.committed as i64);
        assert_eq!(answers, stats.messages, "{stats:?}");
        for ticket in tickets {
            ticket.cancel();
        }
    }
}
