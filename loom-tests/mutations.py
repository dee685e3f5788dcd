#!/usr/bin/env python3
"""Breaks the primitives on purpose, one line at a time, and shows that a loom model notices.

    python3 loom-tests/mutations.py [NAME…]        run all mutations, or those named
    python3 loom-tests/mutations.py [NAME…] --write        and renew their rows in the table in loom-tests/README.md

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
CORE = "primitives/src/snapshot/core.rs"
SLOTS = "primitives/src/slots.rs"
NODE = "primitives/src/snapshot/node.rs"
READER = "primitives/src/snapshot/reader.rs"
FOLLOW = "primitives/src/snapshot/follow.rs"
WAITERS = "primitives/src/notify/waiters.rs"
BLOCK = "primitives/src/notify/block.rs"
EVENT = "primitives/src/notify/event.rs"
LINE = "primitives/src/notify/line.rs"
LOCK = "primitives/src/lock.rs"
QUEUE = "primitives/src/schedule/queue.rs"
STATE = "primitives/src/schedule/state.rs"
WAITING = "primitives/src/schedule/waiting.rs"
READY = "primitives/src/schedule/ready.rs"
NOTIFY = "primitives/src/notify/oneshot.rs"
CLAIM = "primitives/src/claim/table.rs"
CLAIM_CHAINS = "primitives/src/claim/directory.rs"
CLAIM_SLOT = "primitives/src/claim/slot.rs"
CLAIM_PINS = "primitives/src/claim/pinned.rs"
CLAIM_FREE = "primitives/src/claim/free.rs"
CLAIM_LINK = "primitives/src/claim/link.rs"
POOL = "primitives/src/pool/core.rs"
PLACE = "primitives/src/pool/place.rs"
RING = "primitives/src/ring/core.rs"
RING_READER = "primitives/src/ring/reader.rs"
RING_WINDOW = "primitives/src/ring/window.rs"
RING_WAITING = "primitives/src/ring/waiting.rs"
RING_PUBLISHER = "primitives/src/ring/publisher.rs"
RING_SUBSCRIBER = "primitives/src/ring/subscriber.rs"
LANES = "primitives/src/schedule/lanes/mod.rs"
LANE = "primitives/src/schedule/lanes/lane.rs"
PLACES = "primitives/src/schedule/lanes/places.rs"
CELLS = "primitives/src/schedule/lanes/cells.rs"
HOLDERS = "primitives/src/schedule/lanes/holders.rs"
NUMBERS = "primitives/src/sync/numbers.rs"
TOTALS = "primitives/src/aggregate/shared.rs"
CHANNEL = "primitives/src/schedule/lanes/channel.rs"
GATE = "primitives/src/gate.rs"
TURNS = "primitives/src/claim/turns.rs"
ACTIVATION = "primitives/src/notify/activation.rs"

# The files of models that run the code of a file.
QUEUE_MODELS = ["schedule"]
RING_MODELS = ["ring"]
MODELS = {
    QUEUE: QUEUE_MODELS, STATE: QUEUE_MODELS, WAITING: QUEUE_MODELS, READY: QUEUE_MODELS, LINE: QUEUE_MODELS,
    NOTIFY: ["notify"], LOCK: ["lock"], EVENT: ["event"], BLOCK: ["event"], WAITERS: ["event", "following"], POOL: ["pool"], PLACE: ["pool"],
    RING: RING_MODELS, RING_READER: RING_MODELS, RING_WINDOW: RING_MODELS, RING_WAITING: RING_MODELS, RING_PUBLISHER: RING_MODELS, RING_SUBSCRIBER: RING_MODELS,
    LANES: ["lanes"], LANE: ["lanes"], PLACES: ["lanes"], CELLS: ["lanes"], HOLDERS: ["lanes"], NUMBERS: ["lanes"],
    TOTALS: ["aggregate"], CHANNEL: ["channel"], GATE: ["channel"], TURNS: ["turns"], ACTIVATION: ["activation"],
}
MODELS |= dict.fromkeys([CLAIM, CLAIM_CHAINS, CLAIM_SLOT, CLAIM_PINS, CLAIM_FREE, CLAIM_LINK], ["claim"])
CELL_MODELS = ["snapshot", "reclamation", "following"]

# (name, what is broken, file, the text, its replacement, and so on in pairs, for another file after its name)
MUTATIONS = [
    ("publish-relaxed", "a commit publishes with Relaxed", CORE,
     "base.as_ptr(), node, Ordering::SeqCst,", "base.as_ptr(), node, Ordering::Relaxed,"),
    ("publish-acquire", "a commit publishes with Acquire", CORE,
     "base.as_ptr(), node, Ordering::SeqCst,", "base.as_ptr(), node, Ordering::Acquire,"),
    ("publish-unordered", "a commit is not ordered before its look at the followers", CORE,
     "base.as_ptr(), node, Ordering::SeqCst,", "base.as_ptr(), node, Ordering::AcqRel,"),
    ("settle-acquire", "the look after the announcement is an Acquire alone", CORE,
     "let current = self.root.0.load(Ordering::SeqCst);", "let current = self.root.0.load(Ordering::Acquire);"),
    ("settle-relaxed", "the look after the announcement is Relaxed", CORE,
     "let current = self.root.0.load(Ordering::SeqCst);", "let current = self.root.0.load(Ordering::Relaxed);"),
    ("settle-blind", "nobody looks again after the announcement", CORE,
     "            if current == announced {", "            if current == announced || true {", "NonNull::new_unchecked(current)", "NonNull::new_unchecked(announced)"),
    ("settle-unannounced", "a second attempt announces nothing", CORE,
     "            slot.announce(announced);\n        }\n    }", "        }\n    }"),
    ("take-unordered", "to take a slot is not ordered before the look that follows", SLOTS,
     "free, node, Ordering::SeqCst,", "free, node, Ordering::AcqRel,"),
    ("take-relaxed", "a slot is taken with Relaxed", SLOTS, "free, node, Ordering::SeqCst,", "free, node, Ordering::Relaxed,"),
    ("take-release", "who takes a slot does not pass on what its last owner did", SLOTS,
     "free, node, Ordering::SeqCst,", "free, node, Ordering::Release,"),
    ("announce-release", "an announcement is not ordered before the look that follows", SLOTS,
     "self.announced.store(node, Ordering::SeqCst);", "self.announced.store(node, Ordering::Release);"),
    ("announce-relaxed", "an announcement does not give up the one before in order", SLOTS,
     "self.announced.store(node, Ordering::SeqCst);", "self.announced.store(node, Ordering::Relaxed);"),
    ("clear-relaxed", "a released reader leaves with Relaxed", SLOTS,
     "self.announced.store(nothing(), Ordering::Release);", "self.announced.store(nothing(), Ordering::Relaxed);"),
    ("give-back-relaxed", "a slot is given back with Relaxed", SLOTS,
     "self.announced.store(ptr::null_mut(), Ordering::Release);", "self.announced.store(ptr::null_mut(), Ordering::Relaxed);"),
    ("announced-relaxed", "what is announced is looked at with Relaxed", SLOTS,
     "self.announced.load(Ordering::Acquire)", "self.announced.load(Ordering::Relaxed)"),
    ("collect-unfenced", "a collection looks at the slots without a fence", CORE, "        fence(Ordering::SeqCst);\n", ""),
    ("collect-fence-acqrel", "the fence of a collection is AcqRel", CORE, "fence(Ordering::SeqCst);", "fence(Ordering::AcqRel);"),
    ("grow-relaxed", "a block of slots is added with Relaxed", SLOTS,
     "expected, block, Ordering::Release,", "expected, block, Ordering::Relaxed,"),
    ("blocks-relaxed", "blocks of slots are found with Relaxed", SLOTS,
     "unsafe { self.blocks.load(Ordering::Acquire).as_ref() }", "unsafe { self.blocks.load(Ordering::Relaxed).as_ref() }"),
    ("blocks-forgotten", "the blocks of slots are not looked at", SLOTS,
     "self.inline.iter().chain(blocks.flat_map(|block| &block.slots))", "self.inline.iter().chain(blocks.take(0).flat_map(|block| &block.slots))"),
    ("older-blocks-forgotten", "only the newest block of slots is looked at", SLOTS, "blocks.flat_map(|block|", "blocks.take(1).flat_map(|block|"),
    ("inline-forgotten", "the slots in the set itself are not looked at", SLOTS, "self.inline.iter().chain(", "self.inline[..0].iter().chain("),
    ("guests-forgotten", "a collection does not look at who is inside", CORE,
     "let announced = self.slots()", "let announced = self.readers.iter()"),
    ("readers-forgotten", "a collection does not look at the readers", CORE,
     "let announced = self.slots()", "let announced = self.guests.iter()"),
    ("left-relaxed", "a version is left to a slot with Relaxed", SLOTS,
     "self.left.swap(node.as_ptr(), Ordering::AcqRel)", "self.left.swap(node.as_ptr(), Ordering::Relaxed)"),
    ("left-acquire", "a version is left to a slot with Acquire", SLOTS,
     "self.left.swap(node.as_ptr(), Ordering::AcqRel)", "self.left.swap(node.as_ptr(), Ordering::Acquire)"),
    ("left-release", "what is displaced is taken out with Release", SLOTS,
     "self.left.swap(node.as_ptr(), Ordering::AcqRel)", "self.left.swap(node.as_ptr(), Ordering::Release)"),
    ("left-taken-relaxed", "what was left is taken out with Relaxed", SLOTS,
     "self.left.swap(ptr::null_mut(), Ordering::AcqRel)", "self.left.swap(ptr::null_mut(), Ordering::Relaxed)"),
    ("left-twice", "what was left is taken out, but stays there", SLOTS,
     "self.left.swap(ptr::null_mut(), Ordering::AcqRel)", "self.left.load(Ordering::Acquire)"),
    ("displaced-lost", "what is displaced in a slot is forgotten", CORE, "                            displaced.push(other);\n", "                            let _ = (&mut displaced, other);\n"),
    ("displaced-freed", "what is displaced in a slot is freed at once", CORE, "displaced.push(other);", "let _ = &mut displaced;\n                            garbage.nodes.push(other);"),
    ("displaced-not-looked-into", "what is displaced in a slot is compared with what was announced before", CORE,
     "displaced.push(other);", "let _ = &mut displaced;\n                            nodes.push(other);"),
    ("still-read-is-lost", "what is still read is forgotten", CORE,
     "if let Some(other) = announced[at].1.leave(node) {", "if let Some(other) = announced[at].1.take_left() {"),
    ("take-over-frees", "who lets go of a version frees it, whoever else reads it", CORE,
     "            drop(self.sort_out(nodes));", "            drop(Garbage { core: self, nodes });"),
    ("sweep-frees", "what is swept up is freed, whoever else reads it", CORE,
     "        self.sort_out(stale)", "        Garbage { core: self, nodes: stale }"),
    ("sweeps-never", "nothing is swept up", CORE, "if place == 0 {\n                    drop(self.sweep());", "if false {\n                    drop(self.sweep());"),
    ("left-leaks", "a dropped cell leaks what was left to its slots", CORE,
     "        self.slots().filter_map(Slot::take_left).for_each(|node| nodes.push(node));\n", ""),
    ("segment-too-short", "the first node of a segment is forgotten", CORE,
     "            next = if this.place == 0 { None } else { before() };\n            self.push(node);",
     "            next = if this.place == 0 { None } else { before() };\n            if this.place != 0 {\n                self.push(node);\n            }"),
    ("segment-too-long", "a collection goes on into the segment before", CORE,
     "next = if this.place == 0 { None } else { before() };", "next = before();"),
    ("collects-always", "every commit collects", CORE, "(place == 0).then(||", "true.then(||"),
    ("collects-never", "no commit collects", CORE, "(place == 0).then(||", "false.then(||"),
    ("guest-leaves-early", "a commit lets go of its base before the exchange (ABA)", CORE,
     "        let node = Box::into_raw(Node::new(version,", "        drop(guest);\n        let node = Box::into_raw(Node::new(version,",
     "                let slot = guest.leave();\n", "                let slot = self.guests.iter().next().unwrap();\n"),
    ("never-leaves", "who is inside never leaves", CORE, "        self.slot.give_back();\n        self.core.take_over", "        self.core.take_over"),
    ("root-leaks", "a dropped cell leaks its last segment", CORE, "        nodes.push_segment(self.root.0.load(Ordering::Relaxed));\n", "        let _ = &mut nodes;\n"),
    ("no-base-check", "a commit does not compare its base", CELL, "if current != base {", "if false && current != base {"),
    ("stale-says-old", "a commit that lost the exchange reports the version it saw before", CELL,
     "Stale { current: self.version(), staged }", "Stale { current, staged }"),
    ("let-go-relaxed", "a snapshot lets go with Relaxed", NODE, "fetch_sub(1, Ordering::Release)", "fetch_sub(1, Ordering::Relaxed)"),
    ("last-relaxed", "the last to let go does not see what the others did", NODE,
     "            this.holders.load(Ordering::Acquire);\n", ""),
    ("release-relaxed", "the cell does not see what the snapshots did that let go", NODE,
     "if this.holders.load(Ordering::Acquire) > 1 {", "if this.holders.load(Ordering::Relaxed) > 1 {"),
    ("release-frees", "the cell frees a version that snapshots hold", NODE,
     "if this.holders.load(Ordering::Acquire) > 1 {", "if false && this.holders.load(Ordering::Acquire) > 1 {"),
    ("not-held", "a snapshot is not counted among the holders", NODE, "holders.fetch_add(1, Ordering::Relaxed)", "holders.fetch_add(0, Ordering::Relaxed)"),
    ("outliving-counted-late", "a version is counted as outliving its cell's interest after the cell let go of it", NODE,
     "            outliving.fetch_add(1, Ordering::Relaxed);\n", "",
     "            unsafe { Self::let_go(node) };\n        } else", "            unsafe { Self::let_go(node) };\n            outliving.fetch_add(1, Ordering::Relaxed);\n        } else"),
    ("outliving-uncounted", "a version that outlives its cell's interest is not counted down", NODE,
     "                outliving.fetch_sub(1, Ordering::Relaxed);\n", "                let _ = outliving;\n"),
    ("reader-keeps-slot", "a dropped reader keeps its slot", READER, "        self.slot().give_back();\n", ""),
    ("reader-forgets-slot", "a reader gives its slot back as it lets go", READER, "self.slot().clear();", "self.slot().give_back();"),
    ("reader-unsettled", "a reader takes what it glanced at", READER,
     "self.core.protect(self.slot(), likely).as_ptr()", "{\n            self.slot().announce(likely);\n            likely\n        }"),
    ("reader-stays", "a reader never looks again", READER, "if current != self.seen {", "if self.seen.is_null() {"),
    ("wake-look-unordered", "the look whether anybody waits is not ordered after the change", WAITERS,
     "        if self.waiting.load(Ordering::SeqCst) > 0 {\n            self.wake_each();", "        if self.waiting.load(Ordering::Acquire) > 0 {\n            self.wake_each();"),
    ("wait-unfenced", "a waiter's second look is not ordered after its waker", WAITERS,
     "        fence(Ordering::SeqCst);\n        let replaced", "        let replaced"),
    ("wait-uncounted", "a waiter is not counted", WAITERS, "        waiting.fetch_add(1, Ordering::Relaxed);\n", "        waiting.fetch_add(0, Ordering::Relaxed);\n"),
    ("wait-counted-too-late", "a waiter is counted after the fence", WAITERS,
     "        waiting.fetch_add(1, Ordering::Relaxed);\n", "",
     "        let replaced = self", "        waiting.fetch_add(1, Ordering::Relaxed);\n        let replaced = self"),
    ("wakes-one", "only one waiter is woken", WAITERS, "        for waker in self.slots.iter().filter_map(|slot| self.take(slot)) {", "        for waker in self.slots.iter().filter_map(|slot| self.take(slot)).take(1) {"),
    ("wakes-nobody", "a commit wakes nobody", CORE, "                self.followers.wake_all();\n", ""),
    ("wakes-too-early", "a commit wakes before the exchange", CORE,
     "        let root = &self.root.0;\n", "        self.followers.wake_all();\n        let root = &self.root.0;\n",
     "                self.followers.wake_all();\n", ""),
    ("waits-without-look", "a waiter does not look again after its push", WAITERS,
     "        match news() {\n            Some(answer) => Poll::Ready(answer),\n            None => Poll::Pending,\n        }", "        Poll::Pending"),
    ("old-place-kept", "a second poll keeps the first waker of a follower", WAITERS,
     "slot.has_left() && with.will_wake(waker)", "{\n            let _ = with;\n            slot.has_left()\n        }"),
    ("woken-place-kept", "a waiter that was woken does not come back", WAITERS,
     "slot.has_left() && with.will_wake(waker)", "{\n            let _ = slot;\n            with.will_wake(waker)\n        }"),
    ("close-wakes-nobody", "a dropped cell wakes no follower", CORE,
     "        self.closed.store(true, Ordering::SeqCst);\n        self.followers.wake_all();", "        self.closed.store(true, Ordering::SeqCst);"),
    ("close-wakes-too-early-too", "a dropped cell wakes its followers before it is closed", CORE,
     "        self.closed.store(true, Ordering::SeqCst);\n        self.followers.wake_all();", "        self.followers.wake_all();\n        self.closed.store(true, Ordering::SeqCst);"),
    ("closed-looked-at-last", "a follower looks at the version first, and then whether the cell is closed", FOLLOW,
     "            let closed = core.is_closed();\n            let guest = core.enter();", "            let guest = core.enter();\n            let closed = core.is_closed();"),
    ("closed-relaxed", "a cell is closed with Relaxed", CORE,
     "self.closed.store(true, Ordering::SeqCst);", "self.closed.store(true, Ordering::Relaxed);",
     "self.closed.load(Ordering::Acquire)", "self.closed.load(Ordering::Relaxed)"),
    ("wake-one-look-unordered", "the look whether one waits is not ordered at all", WAITERS,
     "        if self.waiting.load(Ordering::SeqCst) > 0 {\n            self.wake_next();", "        if self.waiting.load(Ordering::Acquire) > 0 {\n            self.wake_next();",
     EVENT, "    pub fn notify_one(&self) {\n        // SeqCst orders the caller's change before the look for wakers.\n        fence(Ordering::SeqCst);\n", "    pub fn notify_one(&self) {\n"),
    ("notify-one-unfenced", "to notify one is not ordered after the change", EVENT,
     "        // SeqCst orders the caller's change before the look for wakers.\n        fence(Ordering::SeqCst);\n", ""),
    ("notify-all-unfenced", "to notify all is not ordered after the change", EVENT, "        // As above.\n        fence(Ordering::SeqCst);\n", ""),
    ("wakes-next-to-last", "the look for one waiter leaves out where it began", WAITERS, "chain(self.slots.iter().take(turn))", "chain(self.slots.iter().take(turn).skip(1))",
     "self.slots.iter().skip(turn).", "self.slots.iter().skip(turn + 1)."),
    ("call-not-passed-on", "a waiter that gives up keeps its notification", EVENT, "        if self.leave() {\n            quietly", "        if self.leave() && false {\n            quietly"),
    ("call-passed-on-by-nobody", "a waiter that was served before it was called keeps the call", EVENT,
     "            // At once, as the future may live on: a notification would go to one who waits no more.\n            self.leave_and_pass_on();", "            self.leave();"),
    ("event-look-once", "an event's waiter that was called sleeps again", EVENT, "if called && let Some(answer) = (self.look)() {", "if called {\n            return Poll::Pending;\n        }\n        if called && let Some(answer) = (self.look)() {"),
    ("wake-not-kept", "a wake leaves nothing but the thread's token", BLOCK, "        self.woken.swap(true, Ordering::Release);\n", ""),
    ("pop-many-wakes-one", "pop_many wakes one producer, whatever room it made", QUEUE,
     "        for _ in 0..moved.to_call {\n            let Some(called) = self.state.with(State::call_producer)", "        for _ in 0..moved.to_call.min(1) {\n            let Some(called) = self.state.with(State::call_producer)"),
    ("lock-take-relaxed", "the lock is taken with Relaxed", LOCK,
     "        if self.held.swap(true, Ordering::Acquire) {", "        if self.held.swap(true, Ordering::Relaxed) {"),
    ("lock-wait-relaxed", "the lock is taken with Relaxed after a wait", LOCK,
     "if seems_free && !self.held.swap(true, Ordering::Acquire) {", "if seems_free && !self.held.swap(true, Ordering::Relaxed) {"),
    ("lock-give-back-relaxed", "the lock is given back with Relaxed", LOCK,
     "            self.0.swap(false, Ordering::Release);", "            self.0.swap(false, Ordering::Relaxed);"),
    ("lock-not-waited-for", "who finds the lock taken goes on", LOCK, "            self.wait();\n", ""),
    ("push-wakes-nobody", "a push wakes no consumer", STATE, "        Ok(self.consumers.call())", "        Ok(None)"),
    ("push-many-wakes-nobody", "a batch wakes no consumer", STATE, "let to_call = if self.consumers.is_empty() { 0 } else { count };", "let to_call = 0;"),
    ("push-many-wakes-one", "a batch wakes one consumer", QUEUE, "        for _ in 0..moved.to_call {\n            let Some(called) = self.state.with(State::call_consumer)", "        for _ in 0..moved.to_call.min(1) {\n            let Some(called) = self.state.with(State::call_consumer)"),
    ("pop-wakes-nobody", "a pop wakes no producer", STATE, "if self.room_wanted { self.call_producer() } else { None }", "None"),
    ("pop-many-wakes-nobody", "pop_many wakes no producer", STATE, "to_call: if self.room_wanted { count } else { 0 }", "to_call: 0"),
    ("room-not-wanted", "a producer that waits does not say so", STATE, "            self.room_wanted = true;\n", ""),
    ("room-wanted-by-one", "room is not wanted any more once one was called", STATE,
     "self.room_wanted = self.producers.iter().any(|line| !line.is_empty());", "self.room_wanted = false;"),
    ("close-wakes-nobody-in-line", "close wakes nobody", QUEUE, "while let Some(called) = self.state.with(State::call_any) {", "while false && let Some(called) = self.state.with(State::call_any) {"),
    ("close-wakes-one", "close wakes one", QUEUE, "while let Some(called) = self.state.with(State::call_any) {", "if let Some(called) = self.state.with(State::call_any) {"),
    ("close-forgets-consumers", "close wakes no consumer", STATE, "std::iter::once(&mut self.consumers).chain(&mut self.producers);\n        lines.into_iter()", "self.producers.iter_mut();\n        lines.into_iter()"),
    ("close-forgets-producers", "close wakes no producer", STATE, "std::iter::once(&mut self.consumers).chain(&mut self.producers);\n        lines.into_iter()", "std::iter::once(&mut self.consumers);\n        lines.into_iter()"),
    ("close-wakes-too-early", "close wakes before it closes", QUEUE,
     "        self.state.with(State::close);\n", "",
     "            quietly(|| called.wake());\n        }\n", "            quietly(|| called.wake());\n        }\n        self.state.with(State::close);\n"),
    ("overfills", "a push does not look whether there is room", STATE, "        if !self.has_room(hint.class()) {", "        if false && !self.has_room(hint.class()) {"),
    ("ignores-close", "a push does not look whether the queue is closed", STATE,
     "        if self.closed {\n            return Err(PushError::Closed(task));\n        }\n", ""),
    ("pop-looks-at-close-first", "pop leaves tasks behind in a closed queue", WAITING,
     "        let popped = self.poll(waker, |state| match state.pop() {", "        let popped = self.poll(waker, |state| match if state.is_closed() { None } else { state.pop() } {",
     QUEUE, "        if let Some(task) = self.try_pop() {\n            return Ok(task);\n        }\n", ""),
    ("pop-many-looks-at-close-first", "pop_many leaves tasks behind in a closed queue", WAITING,
     "match state.pop_many(out, most) {", "match if state.is_closed() { Ok(Moved { count: 0, to_call: 0 }) } else { state.pop_many(out, most) } {",
     QUEUE, "        let moved = self.try_pop_many(out, most);\n        if moved > 0 || most == 0 {", "        let moved = 0;\n        if moved > 0 || most == 0 {"),
    ("waits-after-close", "a consumer of a closed queue waits", WAITING, "None => state.is_closed().then_some(None),", "None => None,"),
    ("looks-once", "who has cloned its waker does not look again", WAITING,
     "let (answer, unused, next) = self.queue.state.with(|state| match attempt(state) {", "let (answer, unused, next) = self.queue.state.with(|state| match None.or_else(|| if false { attempt(state) } else { None }) {"),
    ("called-waits-on", "who was called waits with the waker that was taken", LINE,
     "self.places[place.0].waker.as_ref().is_some_and(|mine| mine.will_wake(waker))", "self.places[place.0].waker.as_ref().is_none_or(|mine| mine.will_wake(waker))"),
    ("called-stays-out", "who was called in vain does not stand in line again", LINE, "        if self.was_called(place) {\n            self.standing += 1;", "        if false && self.was_called(place) {\n            self.standing += 1;"),
    ("turn-not-passed-on", "who gives up keeps its turn", WAITING,
     "let next = if mine.is_none() { state.call(self.side) } else { None };", "let next = None;"),
    ("turn-not-passed-on-in-vain", "a producer that was called in vain keeps its turn", WAITING,
     "(old, if called { state.call(self.side) } else { None })", "{\n            let _ = called;\n            (old, None)\n        }"),
    ("place-kept", "who is done stays in line", WAITING, "            Some(answer) => (Poll::Ready(answer), [Some(waker), self.leave(state)], None),", "            Some(answer) => {\n                std::mem::forget(self.place.take());\n                (Poll::Ready(answer), [Some(waker), None], None)\n            }",
     "            Some(answer) => (Step::Done(answer), self.leave(state)),", "            Some(answer) => {\n                std::mem::forget(self.place.take());\n                (Step::Done(answer), None::<Waker>)\n            }"),
    ("calls-who-has-no-room", "a producer is called whose class has no room", STATE,
     "!self.producers[class.index()].is_empty() && self.has_room(*class)", "!self.producers[class.index()].is_empty()"),
    ("least-urgent-first", "the least urgent class goes first", READY,
     "self.take(self.occupied.trailing_zeros() as usize, Lane::pop_first)", "self.take(7 - self.occupied.leading_zeros() as usize, Lane::pop_first)"),
    ("last-in-first-out", "the newest task of a class goes first", READY, "_ => self.plain.pop_front().map(|(_, task)| task),", "_ => self.plain.pop_back().map(|(_, task)| task),"),
    ("never-overdue", "no task is ever overdue", READY, "        if self.gone >= self.none_overdue_before", "        if self.gone >= u64::MAX"),
    ("overdue-too-late", "a task is overdue one too late", READY, "(self.gone >= self.none_overdue_before).then_some(class)", "(self.gone > self.none_overdue_before).then_some(class)"),
    ("send-wakes-nobody", "send wakes nobody", NOTIFY, "slot.waker.take()\n", "None::<Waker>\n"),
    ("old-waker-kept", "a second poll keeps the first waker", NOTIFY,
     "None => (Poll::Pending, slot.waker.replace(newest)),",
     "None if slot.waker.is_some() => (Poll::Pending, Some(newest)),\n            None => (Poll::Pending, slot.waker.replace(newest)),"),
    ("drop-does-not-close", "a dropped sender does not close the pair", NOTIFY,
     "            shared.finish(State::Closed);", "            let _ = shared;"),
    ("waker-dropped-locked", "an old waker is dropped while the lock is held", NOTIFY,
     "None => (Poll::Pending, slot.waker.replace(newest)),", "None => {\n                slot.waker = Some(newest);\n                (Poll::Pending, None)\n            }"),
    ("waker-taken-too-early", "send takes the waker before the value is there", NOTIFY,
     "        let waker = self.0.with(|slot| {\n            slot.state", "        let waker = self.0.with(|slot| slot.waker.take());\n        let waker = self.0.with(|slot| {\n            slot.state",
     "            slot.waker.take()\n", "            waker\n"),
    ("waker-kept", "send wakes a copy of the waker and keeps it", NOTIFY, "            slot.waker.take()\n", "            slot.waker.clone()\n"),
    ("wakes-locked", "send wakes the task while the lock is held", NOTIFY,
     "            slot.waker.take()\n",
     "            if let Some(waker) = slot.waker.take() {\n                waker.wake();\n            }\n            None::<Waker>\n"),
    ("poll-looks-once", "poll does not look again after it gave the lock up to clone the waker", NOTIFY,
     "        let (answer, unused) = self.shared.0.with(|slot| match slot.take() {", "        let (answer, unused) = self.shared.0.with(|slot| match None.or_else(|| if false { slot.take() } else { None }) {"),
    ("poll-leaves-no-waker", "poll leaves no waker", NOTIFY, "slot.waker.replace(newest)", "slot.waker.take()"),
    ("send-closes-too", "send closes the pair over its own value", NOTIFY,
     "if let Some(shared) = self.shared.take() {\n            shared.finish(State::Full",
     "if let Some(shared) = self.shared.clone() {\n            shared.finish(State::Full"),
    ("taken-is-empty", "a slot whose value was taken counts as empty", NOTIFY,
     "std::mem::replace(&mut self.state, State::Closed)", "std::mem::replace(&mut self.state, State::Empty)",
     "State::Closed => Some(Err(Closed)),",
     "State::Closed => {\n                self.state = State::Closed;\n                Some(Err(Closed))\n            }"),
    ("send-leaks", "send leaks the pair", NOTIFY,
     "            shared.finish(State::Full(value));", "            shared.finish(State::Full(value));\n            std::mem::forget(shared);"),
    ("claim-linked-relaxed", "a slot is put into its chain with Relaxed", CLAIM_CHAINS,
     "head.compare_exchange(first.0, linked, Ordering::Release,", "head.compare_exchange(first.0, linked, Ordering::Relaxed,"),
    ("claim-links-whatever-is-first", "a slot is put into its chain though that has changed since the look", CLAIM_CHAINS,
     "head.compare_exchange(first.0, linked,", "head.compare_exchange(head.load(Ordering::Relaxed), linked,"),
    ("claim-chain-relaxed", "the first link of a chain is loaded with Relaxed", CLAIM_CHAINS,
     "Link(from.load(Ordering::Acquire))", "Link(from.load(Ordering::Relaxed))"),
    ("claim-link-unconfirmed", "a walk does not look at the link again", CLAIM_CHAINS, "if from.load(Ordering::Relaxed) != link.0 {", "if false {"),
    ("claim-frozen-is-followed", "a walk goes on from a frozen link", CLAIM_CHAINS, "if !state.is_live() || next.is_frozen() {", "if !state.is_live() {"),
    ("claim-unlinks-relaxed", "a slot is taken out of its chain with Relaxed", CLAIM_CHAINS,
     "rest.0, Ordering::Release, Ordering::Relaxed", "rest.0, Ordering::Relaxed, Ordering::Relaxed"),
    ("claim-unlinks-unfrozen", "a slot is taken out of its chain while the link behind it may change", CLAIM_CHAINS,
     "        if !self.is_frozen_behind() {", "        if false && !self.is_frozen_behind() {"),
    ("claim-freezes-anything", "a link is frozen though its slot may have begun another life", CLAIM_CHAINS,
     "next.compare_exchange(self.next.0, frozen, Ordering::Relaxed, Ordering::Relaxed).is_ok()",
     "{\n            next.store(frozen, Ordering::Relaxed);\n            true\n        }"),
    ("claim-hash-is-enough", "ids of one hash are the same", CLAIM_CHAINS, "if found.key(&is) {", "if found.key(&is) || true {"),
    ("claim-tag-stays", "a link that is changed keeps its tag (ABA)", CLAIM_LINK, ".wrapping_add(TAG_ONE)", ""),
    ("claim-next-relaxed", "the link behind a slot is loaded with Relaxed", CLAIM_SLOT, "self.next.load(Ordering::Acquire)", "self.next.load(Ordering::Relaxed)"),
    ("claim-next-stored-relaxed", "the link behind a slot is stored with Relaxed", CLAIM_SLOT,
     "self.next.store(link.0, Ordering::Release)", "self.next.store(link.0, Ordering::Relaxed)"),
    ("claim-state-relaxed", "the state is loaded with Relaxed", CLAIM_SLOT, "State(self.state.load(Ordering::Acquire))", "State(self.state.load(Ordering::Relaxed))"),
    ("claim-state-stored-relaxed", "a claim begins with a Relaxed store", CLAIM_SLOT,
     "self.state.store(held.0, Ordering::Release)", "self.state.store(held.0, Ordering::Relaxed)"),
    ("claim-deadline-relaxed", "the deadline is loaded with Relaxed", CLAIM_SLOT,
     "self.deadline.load(Ordering::Acquire)", "self.deadline.load(Ordering::Relaxed)"),
    ("claim-deadline-stored-relaxed", "the deadline of a new claim is stored with Relaxed", CLAIM_SLOT,
     "self.deadline.store(record.deadline, Ordering::Release)", "self.deadline.store(record.deadline, Ordering::Relaxed)"),
    ("claim-change-acquire", "the state is changed with Acquire", CLAIM_SLOT, "from.0, to.0, Ordering::AcqRel,", "from.0, to.0, Ordering::Acquire,"),
    ("claim-generation-stays", "the next life of a slot has the generation of the last", CLAIM_SLOT, "turned(Kind::Free).next()", "turned(Kind::Free)"),
    ("claim-transferred-generation-stays", "a transferred claim has the generation of before", CLAIM,
     "let next = state.turned(Kind::Held).next();", "let next = state.turned(Kind::Held);"),
    ("claim-unpin-relaxed", "a pin goes with Relaxed", CLAIM_SLOT, "fetch_sub(1, Ordering::Release)", "fetch_sub(1, Ordering::Relaxed)"),
    ("claim-renews-blindly", "a heartbeat stores the deadline, whatever became of it since the look", CLAIM_SLOT,
     "            match self.deadline.compare_exchange(\n                deadline,\n                later,\n                Ordering::Release,\n                Ordering::Relaxed,\n            ) {\n                Ok(_) => return Ok(later),\n                Err(other) => deadline = other,\n            }",
     "            self.deadline.store(later, Ordering::Relaxed);\n            deadline = later;\n            return Ok(deadline);"),
    ("claim-renewed-relaxed", "the end of a lease is put off with Relaxed", CLAIM_SLOT,
     "later,\n                Ordering::Release,", "later,\n                Ordering::Relaxed,"),
    ("claim-over-for-me-alone", "who finds a lease over does not say so", CLAIM_SLOT,
     "compare_exchange(deadline, 0,", "compare_exchange(deadline, deadline,"),
    ("claim-recycles-pinned", "a slot is used again while somebody looks at it", CLAIM_PINS,
     "        if slot.state().pins() == 1 {", "        if slot.state().pins() >= 1 {"),
    ("claim-recycles-linked", "a slot is used again while it stands in its chain", CLAIM_PINS, "        if self.linked {", "        if false && self.linked {"),
    ("claim-unlinked-or-not", "a slot that could not be taken out of its chain is used again", CLAIM_PINS,
     "linked: !step.unlink()", "linked: step.unlink() && false"),
    ("claim-last-pin-forgets", "the last pin does not free a dead slot", CLAIM_PINS,
     "if before.pins() == 1 && !before.is_live() {", "if false && before.pins() == 1 && !before.is_live() {"),
    ("claim-retracts-pinned", "a slot that was not put into its chain is used again though a strange token has a pin", CLAIM_PINS,
     "if state.pins() == 0 {", "if state.pins() <= 9 {"),
    ("claim-dead-is-killed", "who loses the race for ending a claim ends it as well", CLAIM_PINS,
     "            if !dies(state) {", "            if !dies(state) && !state.is(Kind::Dead) {"),
    ("claim-number-again", "a second attempt to claim takes the number of the first", CLAIM,
     "        let mut reserved = None;\n", "        let mut reserved = None;\n        let mut number = None;\n",
     "let counter = self.next_counter(hash);\n            let until = now", "let counter = *number.get_or_insert_with(|| self.next_counter(hash));\n            let until = now"),
    ("claim-heartbeat-unconfirmed", "a heartbeat does not look whether the claim is held still", CLAIM,
     "Ok(until) if held.is(Kind::Held) && held.generation() == token.generation => Ok(until),", "Ok(until) => {\n                let _ = held;\n                Ok(until)\n            }"),
    ("claim-heartbeat-unpinned", "a heartbeat has no pin", CLAIM,
     "        let pinned = self.pin(token).ok_or(stale(token))?;\n        let until = pinned.slot().renew(", "        let slot = self.pin(token).ok_or(stale(token))?.slot();\n        let until = slot.renew(",
     "let held = pinned.unpin();", "let held = slot.state();"),
    ("claim-released-unseen", "a release trusts its token and does not look for the slot in its chain", CLAIM,
     "self.directory.find(token.slot as usize, |state| state.same_token(held))", "self.directory.unconfirmed(token.slot as usize)",
     CLAIM_CHAINS, "    /// Pins a slot that is found in its chain", "    pub(super) fn unconfirmed(&self, index: usize) -> Option<Step<'_, K>> {\n        let slot = self.slot(index);\n        let (state, hash, next) = (slot.state(), slot.hash(), slot.next());\n        Some(Step { from: self.head(hash), link: Link::NEW, index, slot, state, hash, next })\n    }\n\n    /// Pins a slot that is found in its chain"),
    ("claim-current-unconfirmed", "whether a token is current is not looked at twice", CLAIM,
     "is_some_and(|(slot, held)| slot.state().same_token(held))", "is_some()"),
    ("claim-transfer-revives", "a transfer goes on though the claim was taken over meanwhile", CLAIM,
     "            if !state.same_token(moving) {", "            if false && !state.same_token(moving) {"),
    ("claim-transfer-unreserved", "a transfer writes the next owner down while the old token is good", CLAIM,
     "            if slot.change(held, held.turned(Kind::Moving)).is_ok() {\n                break held;\n            }", "            break held;",
     "        let moving = held.turned(Kind::Moving);", "        let moving = held;"),
    ("claim-lapse-unannounced", "a claim is ended that a heartbeat may have saved", CLAIM,
     "        found.slot().find_over(now).ok()?;\n", "        if now < found.slot().deadline() {\n            return None;\n        }\n"),
    ("claim-lapse-told-early", "what is told of a lapse is read before the claim has ended", CLAIM,
     "        let killed = found.kill(is_claim).ok()?;\n", "        let Record { owner, counter, .. } = found.slot().record();\n        let killed = found.kill(is_claim).ok()?;\n",
     "        let Record { owner, counter, .. } = killed.record();\n", ""),
    ("claim-free-pushed-relaxed", "a slot is freed with Relaxed", CLAIM_FREE,
     "                top.renamed(Some(index)).0,\n                Ordering::Release,", "                top.renamed(Some(index)).0,\n                Ordering::Relaxed,"),
    ("claim-free-height-relaxed", "the height of a stack is that of another time", CLAIM_FREE,
     "        let mut top = Link(stack.load(Ordering::Acquire));\n        loop {\n            let below", "        let mut top = Link(stack.load(Ordering::Relaxed));\n        loop {\n            let below"),
    ("claim-free-popped-relaxed", "a free slot is taken with a Relaxed look", CLAIM_FREE,
     "    let mut top = Link(stack.load(Ordering::Acquire));\n    loop {\n        let index", "    let mut top = Link(stack.load(Ordering::Relaxed));\n    loop {\n        let index"),
    ("claim-free-untold", "who takes the last slot of a stack does not pass on what it knows of others", CLAIM_FREE,
     "            top.renamed(below).0,\n            Ordering::Release,", "            top.renamed(below).0,\n            Ordering::Relaxed,"),
    ("claim-free-looks-once", "a table is full if each stack was empty at some time", CLAIM_FREE,
     "            if empty && before == self.tops() {", "            if empty || before == before {"),
    ("claim-free-near-forgotten", "the near stack is not looked at a second time", CLAIM_FREE,
     "for distance in 0..STACKS {", "for distance in 1..STACKS {"),
    ("pool-take-relaxed", "an object is taken with Relaxed", PLACE,
     "object, held(), Ordering::Acquire,", "object, held(), Ordering::Relaxed,"),
    ("pool-put-relaxed", "an object is put into an empty place with Relaxed", PLACE,
     "object.as_ptr(),\n            Ordering::Release,", "object.as_ptr(),\n            Ordering::Relaxed,"),
    ("pool-put-back-relaxed", "an object is put back into its place with Relaxed", PLACE,
     "self.object.store(object.as_ptr(), Ordering::Release);", "self.object.store(object.as_ptr(), Ordering::Relaxed);"),
    ("pool-vacate-relaxed", "a place is vacated with Relaxed", PLACE,
     "self.object.store(ptr::null_mut(), Ordering::Release);", "self.object.store(ptr::null_mut(), Ordering::Relaxed);"),
    ("pool-take-blind", "an object is taken without an exchange", PLACE,
     "NonNull::new(taken.ok()?)", "let _ = taken;\n        self.object.store(held(), Ordering::Release);\n        NonNull::new(object)"),
    ("pool-take-leaves", "an object that is taken stays in its place", PLACE, "object, held(), Ordering::Acquire,", "object, object, Ordering::Acquire,"),
    ("pool-put-overwrites", "an object is put where another may be by now", PLACE,
     "        put.is_ok()", "        if put.is_err() {\n            self.object.store(object.as_ptr(), Ordering::Release);\n        }\n        true"),
    ("pool-take-vacates-early", "a hit is counted after the place was given up", PLACE,
     "            place.count_hit();\n            place.vacate();\n", "            place.vacate();\n            place.count_hit();\n"),
    ("pool-take-keeps-place", "a take from another place than the first keeps that", PLACE,
     "            place.count_hit();\n            place.vacate();\n", "            place.count_hit();\n"),
    ("pool-first-not-kept", "an object of a first place does not know that it is kept for it", POOL,
     "Taken::of(node, line, true)", "Taken::of(node, line, false)"),
    ("pool-first-kept-for-others", "an object of another place goes to the first one, which may be taken", POOL,
     "        Some(unsafe { Taken::of(node, line, false) })", "        Some(unsafe { Taken::of(node, line, true) })"),
    ("pool-other-lines-not-searched", "only the nearest line is searched", POOL,
     "near.or_else(|| self.other_lines(line).find_map(Line::take))?", "near?"),
    ("pool-other-lines-not-filled", "only the nearest line is filled", POOL,
     "|| self.other_lines(line).any(|line| line.put(taken.0))", ""),
    ("pool-reset-skipped", "what is returned is not reset", POOL,
     "let Some(restore) = &self.restore else { return Ok(true) };", "let Some(restore) = &self.restore.as_ref().filter(|_| false) else { return Ok(true) };"),
    ("pool-panic-keeps-object", "an object whose reset panicked is kept", POOL,
     "            Err(panic) => self.discard(taken, Some(panic)),\n",
     "            Err(panic) => {\n                let _ = self.put(taken);\n                go_on(Some(panic));\n            }\n"),
    ("pool-gone-keeps-place", "the place of an object that left the pool stays kept for it", POOL,
     "        let home = taken.home();\n        if home.is_held {\n            self.line(home).places[0].vacate();",
     "        let home = taken.home();\n        if false {\n            self.line(home).places[0].vacate();"),
    ("pool-clear-keeps-place", "the place of an object that was cleared stays held", POOL,
     "            let node = place.take()?;\n            place.vacate();\n            self.cleared", "            let node = place.take()?;\n            self.cleared"),
    ("pool-leaks", "a dropped pool leaks what is idle", POOL,
     "        drop_each(self.places().filter_map(Place::take).map(", "        drop_each(self.places().take(0).filter_map(Place::take).map("),
    ("ring-tail-relaxed", "a ring publishes with Relaxed", RING,
     "u64::from(state.closed), Ordering::Release);", "u64::from(state.closed), Ordering::Relaxed);"),
    ("ring-tail-look-relaxed", "a ring's tail is looked at with Relaxed", RING,
     "Tail(self.tail.0.load(Ordering::Acquire))", "Tail(self.tail.0.load(Ordering::Relaxed))"),
    ("ring-floor-look-acquire", "the look at the floor is not ordered after the announcement", RING,
     "self.floor.0.load(Ordering::SeqCst)", "self.floor.0.load(Ordering::Acquire)"),
    ("ring-begin-unfenced", "a segment is given up without a fence", RING, "                fence(Ordering::SeqCst);\n", ""),
    ("ring-begin-fence-acqrel", "the fence of a segment that is given up is AcqRel", RING, "fence(Ordering::SeqCst);", "fence(Ordering::AcqRel);"),
    ("ring-floor-moved-late", "the floor is moved after the look at what is announced", RING,
     "            self.floor.0.store(oldest + 1, Ordering::Relaxed);\n", "",
     "                    place.store(segment, Ordering::Release);\n                }\n            }\n",
     "                    place.store(segment, Ordering::Release);\n                }\n            }\n            self.floor.0.store(oldest + 1, Ordering::Relaxed);\n"),
    ("ring-announced-overwritten", "a segment that is announced is used again", RING, "if state.announced.contains(&segment) {", "if false && state.announced.contains(&segment) {"),
    ("ring-announcing-uncounted", "a subscription that announces is not counted", RING, "state.announcing += 1", "state.announcing += 0",
     "            state.announcing -= 1;\n", ""),
    ("ring-aside-used", "a segment that was set aside is used again while it is read", RING,
     "self.aside.iter().position(|segment| !self.announced.contains(segment))?", "self.aside.iter().position(|_| true)?"),
    ("ring-surplus-leaks", "what was set aside is forgotten with the subscription", RING,
     "            drop_each(unsafe { Box::from_raw(segment) }.into_entries());\n", "            let _ = segment;\n"),
    ("ring-released-release", "to release a segment is not ordered before the look at the publishers", RING,
     "self.released.0.store(position, Ordering::SeqCst);", "self.released.0.store(position, Ordering::Release);"),
    ("ring-released-relaxed", "a segment is released with Relaxed", RING,
     "self.released.0.store(position, Ordering::SeqCst);", "self.released.0.store(position, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
     "seat.released.0.load(Ordering::Acquire)", "seat.released.0.load(Ordering::Relaxed)"),
    ("ring-reached-relaxed", "what was released is looked at with Relaxed", RING,
     "seat.released.0.load(Ordering::Acquire)", "seat.released.0.load(Ordering::Relaxed)"),
    ("ring-nobody-gates", "publishers wait for nobody", RING, "        state.reached >= position\n", "        true\n"),
    ("ring-fastest-gates", "the fastest subscriber decides", RING, "released.min()", "released.max()"),
    ("ring-latecomer-overtaken", "a latecomer is not looked at before the next turn", RING, "            state.reached = state.reached.min(position);\n", ""),
    ("ring-replay-of-what-is-gone", "a latecomer begins with what was given up", RING, ".max(oldest);", ".max(oldest.min(0));"),
    ("ring-leaves-late", "who leaves is waited for", RING, "state.seats.retain(|other| !Arc::ptr_eq(other, seat))", "state.seats.retain(|_| true)"),
    ("ring-close-ignored", "a closed ring takes messages", RING, "        if state.closed {\n            return Err(Refused::Closed);\n        }\n", ""),
    ("ring-first-closes", "the first publisher that goes closes the ring", RING, "            state.publishers == 0\n", "            state.publishers < usize::MAX\n"),
    ("ring-last-leaves-it-open", "the last publisher does not close the ring", RING, "        if last {\n", "        if last && false {\n"),
    ("ring-window-forgotten", "a window that is left is filled on", RING, "state.windows.retain(|other| !Arc::ptr_eq(other, window))", "state.windows.retain(|_| true)"),
    ("ring-window-overfilled", "a window takes more than it has room for", RING, "if !window.has_room() {", "if false && !window.has_room() {"),
    ("ring-loss-uncounted", "what a window loses is not counted", RING, "                window.lose();\n", ""),
    ("ring-lag-as-news", "who has lagged takes an older tail for news", RING_READER, "if tail.position() <= self.position {", "if tail.position() == self.position {"),
    ("ring-enter-unannounced", "a segment is entered without an announcement", RING_READER,
     "unsafe { slot.as_ref() }.announce(segment);", "unsafe { slot.as_ref() }.clear();"),
    ("ring-enter-blind", "nobody looks at the floor after an announcement", RING_READER, "if floor > number {", "if false && floor > number {"),
    ("ring-enter-looks-first", "the floor is looked at before the announcement", RING_READER,
     "            unsafe { slot.as_ref() }.announce(segment);\n", "",
     "        (self.segment, self.number) = (segment, number);\n",
     "        if let Kind::DropOldest(slot) | Kind::Latest(slot) = &self.kind {\n            unsafe { slot.as_ref() }.announce(segment);\n        }\n"
     "        (self.segment, self.number) = (segment, number);\n"),
    ("ring-enter-finds-late", "a segment is found after the look at the floor", RING_READER,
     "        (self.segment, self.number) = (segment, number);\n", "        (self.segment, self.number) = (ring.segment(number), number);\n"),
    ("ring-stays-in-segment", "a reader goes on behind the end of its segment", RING_READER,
     "let end = ring.start_of(self.number + 1).min(tail.position());", "let end = tail.position();"),
    ("ring-batch-too-long", "a batch that is not protected goes on into the next segment", RING_READER,
     "ring.tail().position().min(ring.start_of(self.number + 1)) - self.position", "ring.tail().position() - self.position"),
    ("ring-batch-in-one-segment", "a batch goes on behind the end of its segment", RING_READER,
     "_ if ring.segment_of(position) == self.number => self.message(ring, position),", "_ if true => self.message(ring, position),"),
    ("ring-releases-early", "a segment is released before its last message was read", RING_READER,
     "            Kind::Block(_) => ring.start_of(ring.segment_of(position) + 1),", "            Kind::Block(_) => 0,",
     "seat.release(self.position);", "seat.release(self.position + 1);"),
    ("ring-releases-never", "a segment is not released", RING_READER, "                seat.release(self.position);\n", "                let _ = seat;\n"),
    ("ring-releases-late", "a segment is released with the one after it", RING_READER,
     "            Kind::Block(_) => ring.start_of(ring.segment_of(position) + 1),", "            Kind::Block(_) => ring.start_of(ring.segment_of(position) + 2),"),
    ("ring-release-wakes-nobody", "to release a segment wakes nobody", RING_READER, "                ring.wake_for_room();\n", ""),
    ("ring-release-wakes-early", "publishers are woken before the segment is released", RING_READER,
     "                seat.release(self.position);\n                ring.wake_for_room();\n", "                ring.wake_for_room();\n                seat.release(self.position);\n"),
    ("ring-skip-uncounted", "what is skipped is not counted", RING_READER, "        self.lost += lost;\n", ""),
    ("ring-end-before-window", "the end is looked for after the window", RING_READER,
     "            let tail = ring.tail();\n            let last = || tail.is_closed()", "            let last = || ring.tail().is_closed()",
     "            // Who has lagged", "            let tail = ring.tail();\n            // Who has lagged"),
    ("ring-keeps-slot", "who leaves keeps its slot", RING_READER, "                unsafe { slot.as_ref() }.give_back();\n", ""),
    ("ring-gives-slot-back-late", "who leaves gives its slot back after the look for what is left", RING_READER,
     "                unsafe { slot.as_ref() }.give_back();\n                ring.leave_announcing();\n",
     "                ring.leave_announcing();\n                unsafe { slot.as_ref() }.give_back();\n"),
    ("window-put-relaxed", "a message is put into a window with Relaxed", RING_WINDOW, "self.put.0.store(number + 1, Ordering::Release);", "self.put.0.store(number + 1, Ordering::Relaxed);"),
    ("window-look-relaxed", "a window is looked into with Relaxed", RING_WINDOW, "self.put.0.load(Ordering::Acquire) - taken", "self.put.0.load(Ordering::Relaxed) - taken"),
    ("window-take-relaxed", "a message is taken out of a window with Relaxed", RING_WINDOW, "self.taken.0.store(number + 1, Ordering::Release);", "self.taken.0.store(number + 1, Ordering::Relaxed);"),
    ("window-room-relaxed", "room in a window is found with Relaxed", RING_WINDOW, "self.taken.0.load(Ordering::Acquire);", "self.taken.0.load(Ordering::Relaxed);"),
    ("window-taken-early", "a place in a window is given back before it is empty", RING_WINDOW,
     "        let message = self.place(number).with_mut(|place| unsafe { (*place).take() });\n", "",
     "        message\n    }\n}", "        self.place(number).with_mut(|place| unsafe { (*place).take() })\n    }\n}"),
    ("ring-tail-first", "a ring publishes a message before it is there", RING,
     "                let replaced = self.put(state, message);\n                Ok(Published { sleepers: self.set_tail(state), replaced })",
     "                state.next += 1;\n                let sleepers = self.set_tail(state);\n                state.next -= 1;\n"
     "                Ok(Published { sleepers, replaced: self.put(state, message) })"),
    ("ring-leaves-silently", "who leaves wakes no publisher", RING,
     "            state.lines.standing(Side::Room)\n        });\n        self.wake(Side::Room, standing);", "            0\n        });\n        self.wake(Side::Room, standing);"),
    ("ring-publish-wakes-nobody", "a message wakes nobody", RING, "Published { sleepers: self.set_tail(state), replaced }", "Published { sleepers: self.set_tail(state) * 0, replaced }"),
    ("ring-batch-wakes-nobody", "a batch wakes nobody", RING_PUBLISHER, "let wake = || ring.wake(Side::Messages, sleepers);", "let wake = || ring.wake(Side::Messages, sleepers * 0);"),
    ("ring-close-untold", "a ring that is closed does not say so", RING, "            let sleepers = self.set_tail(state);\n", "            let sleepers = state.lines.standing(Side::Messages);\n"),
    ("ring-close-wakes-no-subscriber", "close wakes no subscriber", RING, "[(Side::Messages, sleepers), ", "[(Side::Messages, sleepers * 0), "),
    ("ring-close-wakes-no-publisher", "close wakes no publisher of a ring", RING, "(Side::Room, state.lines.standing(Side::Room))]", "(Side::Room, 0)]"),
    ("ring-wakes-one", "one of those who wait is woken", RING_WAITING, "for _ in 0..standing {", "for _ in 0..standing.min(1) {"),
    ("ring-wait-looks-once", "a waiter does not look again after its waker was cloned", RING_WAITING,
     "            match attempt(state) {\n                Some(answer) => (Poll::Ready(answer), [Some(waker), self.leave(state)]),", "            match None.or_else(|| if false { attempt(state) } else { None }) {\n                Some(answer) => (Poll::Ready(answer), [Some(waker), self.leave(state)]),"),
    ("ring-wait-unlocked", "a waiter gives the lock up between looking and waiting", RING_WAITING,
     "        let (answer, unused) = self.ring.state.0.with(|state| {\n", "        let early = self.ring.state.0.with(&mut attempt);\n        let mut attempt = |_: &mut State<T>| None::<A>;\n        let (answer, unused) = self.ring.state.0.with(|state| {\n            if let Some(early) = early {\n                return (Poll::Ready(early), [Some(waker), self.leave(state)]);\n            }\n"),
    ("ring-room-unwanted", "a publisher does not tell that it wants room", RING_WAITING, "                self.ring.room_wanted.0.store(true, Ordering::Relaxed);\n", ""),
    ("ring-room-unfenced", "a publisher's look for room is not ordered after it told that it wants some", RING_WAITING, "                fence(Ordering::SeqCst);\n", ""),
    ("ring-room-fence-acqrel", "the fence of a publisher that waits is AcqRel", RING_WAITING, "fence(Ordering::SeqCst);", "fence(Ordering::AcqRel);"),
    ("ring-room-look-acquire", "the look whether room is wanted is not ordered after the release", RING_WAITING,
     "self.room_wanted.0.load(Ordering::SeqCst)", "self.room_wanted.0.load(Ordering::Acquire)"),
    ("ring-room-wanted-by-one", "room is not wanted any more once one was called for it", RING_WAITING, "store(!line.is_empty(), Ordering::Relaxed)", "store(false, Ordering::Relaxed)",
     "for _ in 0..standing {", "for _ in 0..standing.min(1) {"),
    ("ring-old-waker-kept", "a ring's waiter that polls again keeps its first waker", RING_WAITING, "is_some_and(|place| line.waits_with(place, waker))", "is_some_and(|place| line.waits_with(place, waker) || !line.was_called(place))"),
    ("publisher-waits-for-messages", "a publisher waits among the subscribers", RING_WAITING, "self.sleep(Side::Room, timeout, attempt)", "self.sleep(Side::Messages, timeout, attempt)"),
    ("subscriber-waits-for-room", "a subscriber waits among the publishers", RING_WAITING, "self.sleep(Side::Messages, timeout, |_| is_ready());", "self.sleep(Side::Room, timeout, |_| is_ready());"),
    ("future-waits-for-messages", "a publisher's future waits among the subscribers", RING_PUBLISHER, "Waiting::new(&self.ring, Side::Room)", "Waiting::new(&self.ring, Side::Messages)"),
    ("future-waits-for-room", "a subscriber's future waits among the publishers", RING_SUBSCRIBER, "Waiting::new(&self.ring, Side::Messages)", "Waiting::new(&self.ring, Side::Room)"),
    ("full-message-lost", "a message that found no room is lost", RING_PUBLISHER, "            *message = Some(back);\n            None", "            drop(back);\n            None"),
    ("lane-fill-relaxed", "a place is filled with Relaxed", PLACES,
     "compare_exchange(word, filled, Ordering::Release,", "compare_exchange(word, filled, Ordering::Relaxed,"),
    ("lane-pass-relaxed", "a place is passed with Relaxed", PLACES,
     "compare_exchange(word, passed, Ordering::Release,", "compare_exchange(word, passed, Ordering::Relaxed,"),
    ("lane-pop-looks-relaxed", "a pop looks at a place with Relaxed", PLACES,
     "with that in `pass`.\n            let word = self.slot(place).load(Ordering::Acquire);", "with that in `pass`.\n            let word = self.slot(place).load(Ordering::Relaxed);"),
    ("lane-overfills", "a push does not look whether the place is passed in the lap before", PLACES,
     "(self.state(word) == lap).then_some(Next { place, word })", "Some(Next { place, word })"),
    ("lane-fill-unchecked", "a push fills a place whatever became of it", PLACES,
     "slot.compare_exchange(word, filled, Ordering::Release, Ordering::Relaxed).is_ok()", "{\n            slot.store(filled, Ordering::Release);\n            true\n        }"),
    ("lane-pass-unchecked", "a pop passes a place whatever became of it", PLACES,
     "slot.compare_exchange(word, passed, Ordering::Release, Ordering::Relaxed).is_ok()", "{\n            slot.store(passed, Ordering::Release);\n            true\n        }"),
    ("lane-hint-read-relaxed", "where to look is read with Relaxed", LANE,
     "self.0.load(Ordering::Acquire)", "self.0.load(Ordering::Relaxed)"),
    ("lane-head-read-relaxed", "where a pop is to look is read with Relaxed", LANE,
     "self.places.first_to_pass(self.consumers.get())", "self.places.first_to_pass(self.consumers.0.load(Ordering::Relaxed))"),
    ("lane-tail-read-relaxed", "where a push is to look is read with Relaxed", LANE,
     "self.places.first_to_fill(self.producers.get())", "self.places.first_to_fill(self.producers.0.load(Ordering::Relaxed))"),
    ("lane-hint-relaxed", "where to look is noted with Relaxed", LANE,
     "self.0.store(place, Ordering::Release);", "self.0.store(place, Ordering::Relaxed);"),
    ("lane-head-ahead", "a pop notes to look one place too far", LANE,
     "self.consumers.advance(places.after(next.place));", "self.consumers.advance(places.after(places.after(next.place)));"),
    ("lane-tail-ahead", "a push notes to look one place too far", LANE,
     "self.producers.advance(self.places.after(next.place));", "self.producers.advance(self.places.after(self.places.after(next.place)));"),
    ("lane-first-unchecked", "nobody looks whether the first task is still the first", LANE,
     "if places.is_unchanged(next) {", "if next.place != u64::MAX {"),
    ("cell-look-relaxed", "who is about to write into a cell looks with Relaxed whether it is free", CELLS,
     "arrival.load(Ordering::Acquire) == FREE;", "arrival.load(Ordering::Relaxed) == FREE;"),
    ("cell-unchecked", "nobody looks whether a cell is free", CELLS,
     "is_free.then_some(", "(is_free || number_is_any(held.cell)).then_some(",
     "const FREE: u64 = 0;", "const FREE: u64 = 0;\n\nfn number_is_any(_: u64) -> bool {\n    true\n}"),
    ("cell-write-relaxed", "the number of a task does not show that the one before has left", CELLS,
     "cell.arrival.store(arrival + 1, Ordering::Release);", "cell.arrival.store(arrival + 1, Ordering::Relaxed);"),
    ("cell-arrival-relaxed", "the number of a task is read with Relaxed", CELLS,
     "arrival.load(Ordering::Acquire).wrapping_sub(1)", "arrival.load(Ordering::Relaxed).wrapping_sub(1)"),
    ("cell-free-relaxed", "a cell is marked as free with Relaxed", CELLS,
     "self.arrival.store(FREE, Ordering::Release);", "self.arrival.store(FREE, Ordering::Relaxed);"),
    ("cell-freed-too-early", "a cell is marked as free before the task is moved out", CELLS,
     "        let task = self.task.with(", "        self.arrival.store(FREE, Ordering::Release);\n        let task = self.task.with("),
    ("cell-never-freed", "a cell is not marked as free", CELLS,
     "        self.arrival.store(FREE, Ordering::Release);\n", ""),
    ("cell-not-exchanged", "a producer keeps the cell that it has put into a slot", CELLS,
     "self.held.exchange(other);", "let _other = other;\n        let cell = self.held.cell;\n        self.held.exchange(cell);"),
    ("holder-take-relaxed", "a holder is taken with Relaxed", HOLDERS,
     "compare_exchange(FREE, TAKEN, Ordering::Acquire,", "compare_exchange(FREE, TAKEN, Ordering::Relaxed,"),
    ("holder-give-back-relaxed", "a holder is given back with Relaxed", HOLDERS,
     "self.0.taken.store(FREE, Ordering::Release);", "self.0.taken.store(FREE, Ordering::Relaxed);"),
    ("holder-kept", "a holder is not given back", HOLDERS,
     "self.0.taken.store(FREE, Ordering::Release);", ""),
    ("holder-taken-twice", "a holder is taken without a look", HOLDERS,
     "taken.is_ok().then(|| Taken(self))", "(taken.is_ok() || taken.is_err()).then(|| Taken(self))"),
    ("holder-given-back-by-others", "who finds a holder taken gives it back", HOLDERS,
     "taken.is_ok().then(|| Taken(self))", "taken.is_ok().then_some(Taken(self))"),
    ("number-lend-relaxed", "a number is lent with Relaxed", NUMBERS,
     "                Ordering::Acquire,", "                Ordering::Relaxed,"),
    ("number-give-back-relaxed", "a number is given back with Relaxed", NUMBERS,
     "fetch_and(!(1 << number), Ordering::Release)", "fetch_and(!(1 << number), Ordering::Relaxed)"),
    ("number-lent-twice", "a number is lent without an exchange", NUMBERS,
     "Err(now) => lent = now,", "Err(_) => return Some(number),"),
    ("turns-begin-unordered", "a turn is not ordered before its looks", TURNS,
     "self.0.store(turn, Ordering::Relaxed);\n        // SeqCst orders the number before the looks of this turn. On the other side stand a change and the look at the\n        // number, with such a fence between them: one of the two sees the other.\n        fence(Ordering::SeqCst);",
     "self.0.store(turn, Ordering::Relaxed);\n        fence(Ordering::AcqRel);"),
    ("turns-current-unordered", "a change is not ordered before the look for the turn", TURNS,
     "fence(Ordering::SeqCst);\n        // Relaxed: as above.", "fence(Ordering::AcqRel);\n        // Relaxed: as above."),
    ("activation-wake-relaxed", "what has happened is not released", ACTIVATION,
     "swap(WOKEN, Ordering::Release)", "swap(WOKEN, Ordering::Relaxed)"),
    ("activation-begin-relaxed", "a turn does not acquire what has happened", ACTIVATION,
     "swap(OWNED, Ordering::Acquire)", "swap(OWNED, Ordering::Relaxed)"),
    ("activation-end-relaxed", "a turn is not released to the next", ACTIVATION,
     "Ordering::Release, Ordering::Relaxed).is_err()", "Ordering::Relaxed, Ordering::Relaxed).is_err()"),
    ("activation-wake-forgotten", "who wakes it during a turn is not heard", ACTIVATION,
     "self.0.compare_exchange(OWNED, IDLE, Ordering::Release, Ordering::Relaxed).is_err()",
     "self.0.swap(IDLE, Ordering::Release) == IDLE"),
    ("activation-woken-twice", "two are told to have it run", ACTIVATION,
     "swap(WOKEN, Ordering::Release) == IDLE", "swap(WOKEN, Ordering::Release) != OWNED"),
    ("gate-enters-closed", "whoever comes when it is closed is let in", GATE,
     "(before & OPEN != 0).then_some(inside)", "{ let _ = before; Some(inside) }"),
    ("gate-leave-relaxed", "what was done inside is not released", GATE,
     "fetch_sub(1, Ordering::Release)", "fetch_sub(1, Ordering::Relaxed)"),
    ("gate-wait-relaxed", "who waits for those inside does not acquire", GATE,
     "(self.word.load(Ordering::Acquire) == 0)", "(self.word.load(Ordering::Relaxed) == 0)"),
    ("gate-leaves-silently", "the last who leaves tells nobody", GATE,
     "self.0.left.notify_all();", ""),
    ("channel-ends-at-once", "the end does not wait for pushes under way", CHANNEL,
     "self.open.wait_until_empty();", ""),
    ("channel-pushes-silently", "a push wakes nobody", CHANNEL,
     "self.arrived.notify_one();", ""),
    ("channel-pops-silently", "room wakes nobody", CHANNEL,
     "if popped > 0 {\n            self.left.notify_all();\n        }", ""),
    ("channel-ends-silently-for-consumers", "the end wakes no consumer", CHANNEL,
     "self.open.close();\n        self.arrived.notify_all();", "self.open.close();"),
    ("channel-ends-silently-for-producers", "the end wakes no producer", CHANNEL,
     "self.arrived.notify_all();\n        self.left.notify_all();", "self.arrived.notify_all();"),
    ("channel-does-not-look-for-the-end", "who waits for a task does not look for the end", CHANNEL,
     "(!self.lanes.is_empty() || self.open.is_closed()).then_some(())", "(!self.lanes.is_empty()).then_some(())"),
    ("channel-tells-before-it-is-there", "a push is told before it is made", CHANNEL,
     "let pushed = self.lanes.attempt(task, class);", "self.arrived.notify_one(); let pushed = self.lanes.attempt(task, class);",
     "        pushed?;\n        self.arrived.notify_one();\n", "        pushed?;\n"),
    ("lanes-looks-once", "a pop that found each lane empty does not look again", LANES,
     "if self.is_still_empty(&empty_at) {", "if self.is_still_empty(&empty_at) || empty_at.len() == CLASSES {"),
    ("lanes-empty-looks-once", "who found each lane empty does not look again", LANES,
     "all.collect::<Option<()>>().is_some() && self.is_still_empty(&empty_at)", "all.collect::<Option<()>>().is_some()"),
    ("lanes-lost-pop-gives-up", "a pop that lost its task to another finds nothing", LANES,
     "None => continue,", "None => return None,"),
    ("lanes-least-urgent-first", "the least urgent class goes first", LANES,
     "self.lanes.iter().zip(&mut empty_at).find_map(", "self.lanes.iter().zip(&mut empty_at).rev().find_map("),
    ("lanes-leak", "a dropped queue leaks its tasks", LANES,
     "drop_each(iter::from_fn(|| self.try_pop()));", "iter::from_fn(|| self.try_pop()).for_each(std::mem::forget);"),
    ("totals-sent-relaxed", "changes are submitted with Relaxed", TOTALS,
     "parcel, Ordering::Release, Ordering::Relaxed)", "parcel, Ordering::Relaxed, Ordering::Relaxed)"),
    ("totals-taken-relaxed", "what was submitted is taken with Relaxed", TOTALS,
     "swap(ptr::null_mut(), Ordering::Acquire)", "swap(ptr::null_mut(), Ordering::Relaxed)"),
    ("totals-older-lost", "who was overtaken leads to what was the newest before", TOTALS, "unsafe { (*parcel).older = newest };", "unsafe { (*parcel).older = (*parcel).older };"),
    ("totals-taken-twice", "what is taken stays", TOTALS,
     "self.newest.swap(ptr::null_mut(), Ordering::Acquire)", "self.newest.load(Ordering::Acquire)"),
    ("totals-rest-kept", "a submitter keeps what it has not sent", TOTALS, "    fn drop(&mut self) {\n        self.send();", "    fn drop(&mut self) {"),
    ("totals-leak", "what nobody drained is leaked", TOTALS, "drop_each(self.take().flatten());", "std::mem::forget(self.take());"),
]


def copy_of_the_workspace(folder):
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for name in files.stdout.splitlines():
        if os.path.isfile(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            # With the time of now: by an older one cargo would take the last mutation's build for fresh.
            shutil.copy(os.path.join(ROOT, name), os.path.join(folder, name))


def run_models(folder, target, models):
    """The first failing model with its message; None if none fails, or if it does not build, which is printed."""
    env = dict(os.environ, RUSTFLAGS="--cfg queenright_loom -A warnings", RUST_BACKTRACE="0")
    env.setdefault("LOOM_MAX_PREEMPTIONS", "2")
    command = ["cargo", "test", "--release", "-p", "queenright-loom-tests", "--target-dir", target, *(f"--test={model}" for model in models)]
    built = subprocess.run([*command, "--no-run"], cwd=folder, env=env, capture_output=True, text=True)
    if built.returncode != 0:
        print(built.stderr, file=sys.stderr)
        return None
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
    rows, survived = {}, []
    target = os.path.join(ROOT, "target-loom-mutations")
    with tempfile.TemporaryDirectory() as folder:
        copy_of_the_workspace(folder)
        untouched = run_models(folder, target, [])
        if untouched:
            sys.exit(f"the models fail without any mutation: {untouched}")
        for name, what, file, *texts in MUTATIONS:
            if names and name not in names:
                continue
            sources = {}
            texts = [file, *texts]
            while texts:
                if texts[0].startswith("primitives/"):
                    path = os.path.join(folder, texts.pop(0))
                    mutated = open(path, encoding="utf-8").read()
                    sources[path] = mutated
                old, new, *texts = texts
                if mutated.count(old) != 1:
                    sys.exit(f"{name}: its text stands {mutated.count(old)} times in {path}; adapt the mutation")
                mutated = mutated.replace(old, new)
                open(path, "w", encoding="utf-8").write(mutated)
            found = run_models(folder, target, MODELS.get(file, CELL_MODELS))
            for path, source in sources.items():
                open(path, "w", encoding="utf-8").write(source)
            if found is None:
                survived.append(name)
            model, message = found or ("**none**", "")
            rows[name] = f"| `{name}` | {what} | `{model}` | {message} |"
            print(f"{name}: {model}: {message}", flush=True)
    if "--write" in sys.argv:
        path = os.path.join(ROOT, "loom-tests", "README.md")
        readme = open(path, encoding="utf-8").read()
        # What was not run now keeps its row; what is no mutation any more loses it.
        rows = {row[1]: row[0] for row in re.findall(r"^(\| `([a-z0-9-]+)` \|.*)$", readme, flags=re.M)} | rows
        rows = [rows[name] for name, *_ in MUTATIONS if name in rows]
        table = "\n".join(["| mutation | what is broken | model that notices | what it says |", "|---|---|---|---|", *rows])
        readme = re.sub(r"(<!-- mutations -->\n).*?(<!-- end of mutations -->)", lambda m: f"{m[1]}{table}\n{m[2]}", readme, flags=re.S)
        open(path, "w", encoding="utf-8").write(readme)
    if survived:
        sys.exit(f"survived: {', '.join(survived)}")


if __name__ == "__main__":
    main()
