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

# (name, what is broken, file, the text, its replacement)
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
        for name, what, file, old, new in MUTATIONS:
            if names and name not in names:
                continue
            path = os.path.join(folder, file)
            source = open(path, encoding="utf-8").read()
            if source.count(old) != 1:
                sys.exit(f"{name}: its text stands {source.count(old)} times in {file}; adapt the mutation")
            open(path, "w", encoding="utf-8").write(source.replace(old, new))
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
