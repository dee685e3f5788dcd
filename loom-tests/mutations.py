#!/usr/bin/env python3
"""Breaks the primitives on purpose, one line at a time, and shows that a loom model notices.

    python3 loom-tests/mutations.py [NAME…]        run all mutations, or those named
    python3 loom-tests/mutations.py --write        and renew the table in loom-tests/README.md

Works on a copy; exit status 1 if a mutation survives or no longer applies.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CELL = "primitives/src/snapshot/cell.rs"
QUEUE = "primitives/src/schedule.rs"
NOTIFY = "primitives/src/notify.rs"

# (name, what is broken, file, the text, its replacement, and so on in pairs)
MUTATIONS = [
    ("publish-relaxed", "a commit publishes with Relaxed instead of Release", CELL,
     "            Ordering::Release,\n", "            Ordering::Relaxed,\n"),
    ("load-relaxed", "the root is loaded with Relaxed instead of Acquire", CELL,
     "self.root.load(Ordering::Acquire, guard)", "self.root.load(Ordering::Relaxed, guard)"),
    ("free-at-once", "a replaced version is freed at once instead of retired", CELL,
     "unsafe { guard.defer_destroy(current) };", "drop(unsafe { current.into_owned() });"),
    ("never-retire", "a replaced version is never retired", CELL,
     "unsafe { guard.defer_destroy(current) };", "let _ = current;"),
    ("leak-root", "a dropped cell leaks its last version", CELL,
     "drop(unsafe { root.into_owned() });", "let _ = root;"),
    ("no-base-check", "a commit does not compare its base", CELL, "if seen != base {", "if false && seen != base {"),
    ("free-unprotected", "a commit runs without a pin, so that it frees at once", CELL,
     "let guard = epoch::pin();\n        let current", "let guard = unsafe { epoch::unprotected() };\n        let current"),
    ("read-unpinned", "read holds no pin while the closure runs", CELL,
     "let guard = epoch::pin();\n        let node = self.node(&guard);\n        f(",
     "let guard = unsafe { epoch::unprotected() };\n        let node = self.node(guard);\n        f("),
    ("load-unpinned", "load holds no pin", CELL,
     "let guard = epoch::pin();\n        let node = self.node(&guard);\n        Snapshot",
     "let guard = unsafe { epoch::unprotected() };\n        let node = self.node(guard);\n        Snapshot"),
    ("version-unpinned", "version holds no pin", CELL,
     "self.node(&epoch::pin())", "self.node(unsafe { epoch::unprotected() })"),
    ("pin-renewed", "a commit pins anew between its look at the base and the exchange (ABA)", CELL,
     "        let next = base.next();",
     "        let raw = current.as_raw();\n        drop(guard);\n        let guard = epoch::pin();\n"
     "        let current = Shared::from(raw);\n        let next = base.next();"),
    ("blind-swap", "a commit swaps without comparing", CELL,
     "self.root.compare_exchange(\n            current,\n            node,\n            Ordering::Release,\n"
     "            Ordering::Relaxed,\n            &guard,\n        ) {",
     "Ok::<_, epoch::CompareExchangeError<'_, _, Owned<Node<T>>>>(self.root.swap(node, Ordering::AcqRel, &guard)) {",
     "            Ok(_) => {", "            Ok(current) => {"),
    ("loser-retires", "a commit that lost retires the version too", CELL,
     "                let current = self.node(&guard).version;",
     "                unsafe { guard.defer_destroy(current) };\n                let current = self.node(&guard).version;"),
    ("stale-says-old", "a commit that lost the exchange reports the version it saw before", CELL,
     "                let current = self.node(&guard).version;", "                let current = seen;"),
    ("stale-unordered", "a commit that lost reads the winner through the Relaxed failure of the exchange", CELL,
     "let current = self.node(&guard).version;", "let current = unsafe { lost.current.deref() }.version;"),
    ("push-wakes-nobody", "push wakes no consumer", QUEUE,
     "        if wake {\n            self.not_empty.notify_one();", "        if false && wake {\n            self.not_empty.notify_one();"),
    ("pop-wakes-nobody", "pop wakes no producer", QUEUE,
     "        if wake {\n            self.not_full.notify_one();", "        if false && wake {\n            self.not_full.notify_one();"),
    ("pop-many-wakes-nobody", "pop_many wakes no producer", QUEUE, "if room_wanted {", "if false && room_wanted {"),
    ("pop-many-wakes-one", "pop_many wakes one producer, whatever room it made", QUEUE,
     "        if room_wanted {\n            self.not_full.notify_all();", "        if room_wanted {\n            self.not_full.notify_one();"),
    ("close-forgets-consumers", "close wakes no consumer", QUEUE,
     "closed = true;\n        self.not_empty.notify_all();", "closed = true;"),
    ("close-wakes-one-consumer", "close wakes one consumer only", QUEUE,
     "closed = true;\n        self.not_empty.notify_all();", "closed = true;\n        self.not_empty.notify_one();"),
    ("close-forgets-producers", "close wakes no producer", QUEUE,
     "        self.not_full.notify_all();\n    }\n\n    /// Whether [`close`]", "    }\n\n    /// Whether [`close`]"),
    ("close-wakes-one-producer", "close wakes one producer only", QUEUE,
     "        self.not_full.notify_all();\n    }\n\n    /// Whether [`close`]",
     "        self.not_full.notify_one();\n    }\n\n    /// Whether [`close`]"),
    ("consumers-not-counted", "a waiting consumer is not counted", QUEUE, "        lanes.waiting_for_task += 1;\n", ""),
    ("producers-not-counted", "a waiting producer is not counted", QUEUE, "            lanes.waiting_for_room += 1;\n", ""),
    ("push-overfills", "push does not look whether there is room", QUEUE,
     "if lanes.len < self.capacity {", "if true || lanes.len < self.capacity {"),
    ("try-push-overfills", "try_push does not look whether there is room", QUEUE,
     "if lanes.len >= self.capacity {", "if false && lanes.len >= self.capacity {"),
    ("push-ignores-close", "push does not look whether the queue is closed", QUEUE,
     "            if lanes.closed {\n                return Err(PushError::Closed(task));",
     "            if false && lanes.closed {\n                return Err(PushError::Closed(task));"),
    ("wakes-trusted", "pop_many trusts a wake-up instead of looking again", QUEUE,
     "        while lanes.len == 0 {", "        if lanes.len == 0 {"),
    ("push-wakes-too-early", "push wakes a consumer before the task is there", QUEUE,
     "        lanes.tasks[class.index()].push_back(task);\n        lanes.len += 1;\n        let wake = lanes.waiting_for_task > 0;\n        drop(lanes);\n"
     "        if wake {\n            self.not_empty.notify_one();\n        }\n",
     "        let wake = lanes.waiting_for_task > 0;\n        drop(lanes);\n        if wake {\n            self.not_empty.notify_one();\n        }\n"
     "        let mut lanes = lock(&self.lanes);\n        lanes.tasks[class.index()].push_back(task);\n        lanes.len += 1;\n"),
    ("push-wakes-producers", "push wakes a producer in place of a consumer", QUEUE,
     "        if wake {\n            self.not_empty.notify_one();", "        if wake {\n            self.not_full.notify_one();"),
    ("close-wakes-too-early", "close wakes before it closes", QUEUE,
     "        lock(&self.lanes).closed = true;\n        self.not_empty.notify_all();\n        self.not_full.notify_all();",
     "        self.not_empty.notify_all();\n        self.not_full.notify_all();\n        lock(&self.lanes).closed = true;"),
    ("consumer-looks-unlocked", "a consumer gives the lock up between looking and waiting", QUEUE,
     "        lanes.waiting_for_task += 1;\n",
     "        drop(lanes);\n        lanes = lock(&self.lanes);\n        lanes.waiting_for_task += 1;\n",
     "fn wait_for_task<'q>(&self,", "fn wait_for_task<'q>(&'q self,"),
    ("producer-looks-unlocked", "a producer gives the lock up between looking and waiting", QUEUE,
     "            lanes.waiting_for_room += 1;\n",
     "            drop(lanes);\n            lanes = lock(&self.lanes);\n            lanes.waiting_for_room += 1;\n"),
    ("consumer-counted-unlocked", "a consumer is counted, gives the lock up, and waits then", QUEUE,
     "        lanes.waiting_for_task += 1;\n", "        lanes.waiting_for_task += 1;\n        drop(lanes);\n        lanes = lock(&self.lanes);\n",
     "fn wait_for_task<'q>(&self,", "fn wait_for_task<'q>(&'q self,"),
    ("push-admits-unlocked", "push gives the lock up between looking and adding", QUEUE,
     "                self.admit(lanes, task, class);\n                return",
     "                drop(lanes);\n                self.admit(lock(&self.lanes), task, class);\n                return"),
    ("try-push-admits-unlocked", "try_push gives the lock up between looking and adding", QUEUE,
     "        self.admit(lanes, task, class);\n        Ok",
     "        drop(lanes);\n        self.admit(lock(&self.lanes), task, class);\n        Ok"),
    ("pop-many-takes-unlocked", "pop_many gives the lock up between counting and taking", QUEUE,
     "        let moved = most.min(lanes.len);\n",
     "        let moved = most.min(lanes.len);\n        drop(lanes);\n        let mut lanes = lock(&self.lanes);\n"),
    ("pop-trusts-wakes", "pop trusts a wake-up instead of looking again", QUEUE,
     "                Err(lanes) => self.wait_for_task(lanes),",
     "                Err(lanes) => return self.take(self.wait_for_task(lanes)).ok(),"),
    ("push-trusts-wakes", "push trusts a wake-up instead of looking again", QUEUE,
     "            lanes.waiting_for_room -= 1;\n",
     "            lanes.waiting_for_room -= 1;\n            if !lanes.closed {\n                self.admit(lanes, task, class);\n"
     "                return Ok(());\n            }\n"),
    ("pop-looks-at-close-first", "pop leaves tasks behind in a closed queue", QUEUE,
     "            lanes = match self.take(lanes) {",
     "            if lanes.closed {\n                return None;\n            }\n            lanes = match self.take(lanes) {"),
    ("pop-many-looks-at-close-first", "pop_many leaves tasks behind in a closed queue", QUEUE,
     "        while lanes.len == 0 {", "        if lanes.closed {\n            return 0;\n        }\n        while lanes.len == 0 {"),
    ("try-push-ignores-close", "try_push does not look whether the queue is closed", QUEUE,
     "        if lanes.closed {\n            return Err(PushError::Closed(task));\n        }\n        if lanes.len >=", "        if lanes.len >="),
    ("least-urgent-first", "the least urgent class goes first", QUEUE, ".position(|tasks|", ".rposition(|tasks|"),
    ("last-in-first-out", "the newest task of a class goes first", QUEUE, ".pop_front()", ".pop_back()"),
    ("send-wakes-no-thread", "send wakes no blocked thread", NOTIFY, "if slot.blocked {", "if false && slot.blocked {"),
    ("wait-not-noted", "wait does not note that it blocks", NOTIFY,
     "                None => {\n                    slot.blocked = true;", "                None => {"),
    ("send-wakes-no-task", "send wakes no task", NOTIFY, "slot.waker.take()\n", "None::<Waker>\n"),
    ("old-waker-kept", "a second poll keeps the first waker", NOTIFY,
     "let old = slot.waker.replace(newest);",
     "let old = if slot.waker.is_some() { None } else { slot.waker.replace(newest) };"),
    ("drop-does-not-close", "a dropped sender does not close the pair", NOTIFY,
     "            shared.finish(State::Closed);", "            let _ = shared;"),
    ("waker-dropped-locked", "an old waker is dropped while the lock is held", NOTIFY,
     "        drop(slot);\n        drop(old);", "        drop(old);\n        drop(slot);"),
    ("timed-wait-not-noted", "wait_timeout does not note that it blocks", NOTIFY,
     "            slot.blocked = true;\n            slot = self", "            slot = self"),
    ("send-wakes-too-early", "send wakes the thread before the value is there", NOTIFY,
     "            slot.state = state;\n            if slot.blocked {\n                self.filled.notify_one();\n            }\n",
     "            if slot.blocked {\n                self.filled.notify_one();\n            }\n            drop(slot);\n"
     "            slot = lock(&self.slot);\n            slot.state = state;\n"),
    ("waker-taken-too-early", "send takes the waker before the value is there", NOTIFY,
     "            let mut slot = lock(&self.slot);\n            slot.state", "            let waker = lock(&self.slot).waker.take();\n"
     "            let mut slot = lock(&self.slot);\n            slot.state", "            slot.waker.take()\n", "            waker\n"),
    ("waker-kept", "send wakes a copy of the waker and keeps it", NOTIFY, "slot.waker.take()\n", "slot.waker.clone()\n"),
    ("wakes-locked", "send wakes the task while the lock is held", NOTIFY,
     "            slot.waker.take()\n",
     "            if let Some(waker) = slot.waker.take() {\n                waker.wake();\n            }\n            None::<Waker>\n"),
    ("wait-looks-unlocked", "wait gives the lock up between looking and waiting", NOTIFY,
     "                    slot.blocked = true;\n                    slot",
     "                    slot.blocked = true;\n                    drop(slot);\n                    slot = lock(&self.shared.slot);\n                    slot"),
    ("poll-looks-once", "poll does not look again after it gave the lock up to clone the waker", NOTIFY,
     "        if let Some(answer) = slot.take() {\n            drop(slot);\n            return Poll::Ready(answer);\n        }\n", ""),
    ("poll-leaves-no-waker", "poll leaves no waker", NOTIFY,
     "slot.waker.replace(newest)", "slot.waker.take()"),
    ("send-closes-too", "send closes the pair over its own value", NOTIFY,
     "if let Some(shared) = self.shared.take() {\n            shared.finish(State::Full",
     "if let Some(shared) = self.shared.clone() {\n            shared.finish(State::Full"),
    ("taken-is-empty", "a slot whose value was taken counts as empty", NOTIFY,
     "std::mem::replace(&mut self.state, State::Closed)", "std::mem::replace(&mut self.state, State::Empty)",
     "State::Closed => Some(Err(Closed)),",
     "State::Closed => {\n                self.state = State::Closed;\n                Some(Err(Closed))\n            }"),
    ("send-leaks", "send leaks the pair", NOTIFY,
     "            shared.finish(State::Full(value));", "            shared.finish(State::Full(value));\n            std::mem::forget(shared);"),
]


def copy_of_the_workspace(folder):
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for name in files.stdout.splitlines():
        if os.path.isfile(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            # With the time of now: by an older one cargo would take the last mutation's build for fresh.
            shutil.copy(os.path.join(ROOT, name), os.path.join(folder, name))


def run_models(folder, target):
    """The first failing model with its message, or None."""
    env = dict(os.environ, RUSTFLAGS="--cfg queenright_loom --cfg crossbeam_loom -A warnings", RUST_BACKTRACE="0")
    env.setdefault("LOOM_MAX_PREEMPTIONS", "2")
    command = ["cargo", "test", "--release", "-p", "queenright-loom-tests", "--target-dir", target]
    built = subprocess.run([*command, "--no-run"], cwd=folder, env=env, capture_output=True, text=True)
    if built.returncode != 0:
        sys.exit(f"the mutated code does not build:\n{built.stderr}")
    try:
        # One at a time, so that the last one named is the one that brought the process down.
        command += ["--", "--test-threads=1"]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "(no end within 300 s)", "the models do not come to an end"
    if done.returncode == 0:
        return None
    text = done.stdout + done.stderr
    failed = re.findall(r"^test (\S+) \.\.\.(?! ok)", done.stdout, re.M)
    said = re.search(r"panicked at [^\n]*\n([^\n]*)", text)
    crashed = re.search(r"signal: \d+, \w+", text)
    message = said.group(1) if said else crashed.group(0) if crashed else "failed"
    message = re.sub(r"; threads = .*", "", message)
    return (failed[0] if failed else "(the process died)"), message[:100]


def main():
    names = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    rows, survived = [], []
    target = os.path.join(ROOT, "target-loom-mutations")
    with tempfile.TemporaryDirectory() as folder:
        copy_of_the_workspace(folder)
        untouched = run_models(folder, target)
        if untouched:
            sys.exit(f"the models fail without any mutation: {untouched}")
        for name, what, file, *texts in MUTATIONS:
            if names and name not in names:
                continue
            path = os.path.join(folder, file)
            source = mutated = open(path, encoding="utf-8").read()
            for old, new in zip(texts[::2], texts[1::2]):
                if mutated.count(old) != 1:
                    sys.exit(f"{name}: its text stands {mutated.count(old)} times in {file}; adapt the mutation")
                mutated = mutated.replace(old, new)
            open(path, "w", encoding="utf-8").write(mutated)
            found = run_models(folder, target)
            open(path, "w", encoding="utf-8").write(source)
            if found is None:
                survived.append(name)
            model, message = found or ("**none**", "")
            rows.append(f"| `{name}` | {what} | `{model}` | {message} |")
            print(f"{name}: {model}: {message}", flush=True)
    if "--write" in sys.argv and not names:
        path = os.path.join(ROOT, "loom-tests", "README.md")
        readme = open(path, encoding="utf-8").read()
        table = "\n".join(["| mutation | what is broken | model that notices | what it says |", "|---|---|---|---|", *rows])
        readme = re.sub(r"(<!-- mutations -->\n).*?(<!-- end of mutations -->)", lambda m: f"{m[1]}{table}\n{m[2]}", readme, flags=re.S)
        open(path, "w", encoding="utf-8").write(readme)
    if survived:
        sys.exit(f"survived: {', '.join(survived)}")


main()
