//! The primitives' hot paths.

use std::collections::VecDeque;
use std::hint::black_box;

use queenright_primitives::aggregate::{Aggregator, Sum};
use queenright_primitives::claim::{ClaimTable, Incarnation, OwnerId};
use queenright_primitives::conflict::{ConflictIndex, Footprint};
use queenright_primitives::notify;
use queenright_primitives::pool::Pool;
use queenright_primitives::proposal::{Mode, Write};
use queenright_primitives::ring::{Options, Publisher};
use queenright_primitives::schedule::{Class, Hint, LaneQueue, PriorityQueue};
use queenright_primitives::snapshot::{SnapshotCell, Version};

use crate::{Benchmark, counted, numbers};

/// The default hash function with a key that is the same in every process.
type Fixed = foldhash::fast::FixedState;

pub(crate) const ALL: &[Benchmark] = &[
    Benchmark { name: "snapshot_load/x1000", run: snapshot_load },
    Benchmark { name: "snapshot_read/x1000", run: snapshot_read },
    Benchmark { name: "snapshot_reader_get/x1000", run: snapshot_reader_get },
    Benchmark { name: "snapshot_stage_commit/x1000", run: snapshot_stage_commit },
    Benchmark { name: "snapshot_update/x1000", run: snapshot_update },
    Benchmark { name: "conflict_admit/1_percent_hot/x500", run: || conflict_admit(1) },
    Benchmark { name: "conflict_admit/50_percent_hot/x500", run: || conflict_admit(50) },
    Benchmark { name: "conflict_clear/500_admitted", run: conflict_clear },
    Benchmark { name: "aggregate_submit_drain/1000_keys/x4000", run: aggregate_submit_drain },
    Benchmark { name: "queue_pop_push/depth_10/x1000", run: || queue_pop_push(10) },
    Benchmark { name: "queue_pop_push/depth_1000/x1000", run: || queue_pop_push(1000) },
    Benchmark { name: "queue_pop_push/depth_100000/x1000", run: || queue_pop_push(100_000) },
    Benchmark { name: "queue_pop_push/deadlines/depth_1000/x1000", run: || queue_deadlines(1000) },
    Benchmark { name: "queue_pop_push/batches_of_16/x1600", run: queue_batches },
    Benchmark { name: "lanes_pop_push/depth_1000/x1000", run: || lanes_pop_push(1000) },
    Benchmark { name: "claim_release/1000_ids/x1000", run: || claim_release(1000) },
    Benchmark { name: "claim_refused/1000_ids/x1000", run: || claim_refused(1000) },
    Benchmark { name: "ring_publish_receive/x1000", run: ring_publish_receive },
    Benchmark { name: "pool_take_return/x1000", run: pool_take_return },
    Benchmark { name: "event_notify_nobody/x1000", run: event_notify_nobody },
    Benchmark { name: "oneshot_send_wait/x1000", run: oneshot_send_wait },
];

fn snapshot_load() {
    let cell = SnapshotCell::new([7_u64; 8]);
    let sum = || (0..1000).map(|_| cell.load()[0]).sum::<u64>();
    assert_eq!(sum(), 7000);
    assert_eq!(counted(sum), 7000);
}

fn snapshot_read() {
    let cell = SnapshotCell::new([7_u64; 8]);
    let sum = || (0..1000).map(|_| cell.read(|state, _| state[0])).sum::<u64>();
    assert_eq!(sum(), 7000);
    assert_eq!(counted(sum), 7000);
}

fn snapshot_reader_get() {
    let cell = SnapshotCell::new([7_u64; 8]);
    let mut reader = cell.reader();
    let mut sum = || (0..1000).map(|_| black_box(reader.get())[0]).sum::<u64>();
    assert_eq!(sum(), 7000);
    assert_eq!(counted(sum), 7000);
}

fn snapshot_update() {
    let cell = SnapshotCell::new([0_u64; 8]);
    let step = || cell.update(|state| state.map(|word| word + 1)).is_ok();
    let steps = || (0..1000).filter(|_| step()).count();
    assert_eq!(steps(), 1000);
    assert_eq!(counted(steps), 1000);
    cell.read(|state, version| assert_eq!((state[0], version), (2000, Version(2000))));
}

fn snapshot_stage_commit() {
    let cell = SnapshotCell::new([0_u64; 8]);
    let step = || {
        let mut staged = cell.stage();
        staged[0] += 1;
        cell.commit(staged).is_ok()
    };
    let steps = || (0..1000).filter(|_| step()).count();
    assert_eq!(steps(), 1000);
    assert_eq!(counted(steps), 1000);
    cell.read(|state, version| assert_eq!((state[0], version), (2000, Version(2000))));
}

/// Four exclusive writes a proposal; `share` in a hundred of them on one of 16 hot keys.
fn writes(share: u64) -> Vec<[Write<u64, u8>; 4]> {
    let mut random = numbers();
    let mut write = |number: u64| {
        let hot = random() % 100 < share;
        let key = if hot { random() % 16 } else { 1000 + number };
        Write { key, mode: Mode::Exclusive }
    };
    (0..500).map(|n| std::array::from_fn(|part| write(n * 4 + part as u64))).collect()
}

type Index = ConflictIndex<u64, u8, Fixed>;

fn admitted(index: &mut Index, batch: &[[Write<u64, u8>; 4]]) -> usize {
    let admit = |(who, writes): (usize, &[Write<u64, u8>; 4])| {
        index.try_admit(who, Footprint { reads: &[], writes }).is_ok()
    };
    batch.iter().enumerate().map(admit).filter(|admitted| *admitted).count()
}

/// Into memory that an earlier round left behind, as in a round of the hive.
fn conflict_admit(share: u64) {
    let batch = writes(share);
    let mut index = Index::with_hasher(Fixed::with_seed(7));
    let first = admitted(&mut index, &batch);
    assert!(first > 0);
    index.clear();
    assert_eq!(counted(|| admitted(&mut index, &batch)), first);
}

fn conflict_clear() {
    let batch = writes(1);
    let mut index = Index::with_hasher(Fixed::with_seed(7));
    let first = admitted(&mut index, &batch);
    counted(|| index.clear());
    assert_eq!(admitted(&mut index, &batch), first, "nothing of the first round is left");
}

fn aggregate_submit_drain() {
    let mut totals = Aggregator::with_hasher(Fixed::with_seed(7));
    let mut merged = || {
        let added = |n: &u64| totals.submit(n % 1000, &Sum::of(1)).is_ok();
        assert_eq!((0..4000).filter(added).count(), 4000);
        totals.drain().count()
    };
    assert_eq!(merged(), 1000);
    assert_eq!(counted(merged), 1000);
}

/// Fills a queue, and then pushes a thousand times what was popped.
fn pop_push(depth: usize, push: impl Fn(usize) -> bool, pop: impl Fn() -> Option<usize>) {
    assert!((0..depth).all(&push));
    let turn = || (0..1000).filter(|_| pop().is_some_and(&push)).count();
    assert_eq!(turn(), 1000);
    assert_eq!(counted(turn), 1000);
}

fn queue_pop_push(depth: usize) {
    let queue = PriorityQueue::bounded(depth + 1, 1 << 20);
    let push = |task: usize| queue.try_push(task, Class::ALL[task % 5]).is_ok();
    pop_push(depth, push, || queue.try_pop());
    assert_eq!(queue.len(), depth);
}

fn queue_deadlines(depth: usize) {
    let queue = PriorityQueue::bounded(depth + 1, 1 << 20);
    let push = |task: usize| {
        let deadline = (task as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        queue.try_push(task + depth, Hint::new(Class::Normal).with_deadline(deadline)).is_ok()
    };
    pop_push(depth, push, || queue.try_pop());
    assert_eq!(queue.len(), depth);
}

fn queue_batches() {
    let queue = PriorityQueue::bounded(1016, 1 << 20);
    let hint = |task: usize| Class::ALL[task % 5].into();
    assert!((0..1000).all(|task| queue.try_push(task, hint(task)).is_ok()));
    let (mut taken, mut next) = (Vec::with_capacity(16), VecDeque::with_capacity(16));
    let mut turn = || {
        let moved = queue.try_pop_many(&mut taken, 16);
        next.extend(taken.drain(..).map(|task| (task, hint(task))));
        assert_eq!(queue.try_push_many(&mut next), Ok(moved));
        moved
    };
    let mut turns = || (0..100).map(|_| turn()).sum::<usize>();
    assert_eq!(turns(), 1600);
    assert_eq!(counted(turns), 1600);
}

fn lanes_pop_push(depth: usize) {
    let queue = LaneQueue::bounded(depth + 1, 1 << 20);
    let push = |task: usize| queue.try_push(task, Class::ALL[task % 5]).is_ok();
    pop_push(depth, push, || queue.try_pop());
    assert_eq!(queue.len(), depth);
}

fn claims(ids: usize) -> ClaimTable<u64, Fixed> {
    let hasher = Fixed::with_seed(7);
    ClaimTable::with_capacity_and_hasher(ids, 1000, Incarnation(1), hasher)
}

fn claim_release(ids: u64) {
    let table = claims(ids as usize);
    let step = |id: u64| {
        let claimed = table.claim(id, OwnerId(1), 0);
        claimed.is_ok_and(|token| table.release(&token, 1).is_ok())
    };
    let steps = || (0..ids).filter(|id| step(*id)).count() as u64;
    assert_eq!(steps(), ids);
    assert_eq!(counted(steps), ids);
    assert!(table.is_empty());
}

fn claim_refused(ids: u64) {
    let table = claims(ids as usize);
    assert!((0..ids).all(|id| table.claim(id, OwnerId(1), 0).is_ok()));
    let refused = || (0..ids).filter(|id| table.claim(*id, OwnerId(2), 1).is_err()).count() as u64;
    assert_eq!(refused(), ids);
    assert_eq!(counted(refused), ids);
}

fn ring_publish_receive() {
    let publisher = Publisher::bounded(1024);
    let mut subscriber = publisher.subscribe(Options::block());
    let mut step = |n: u64| {
        assert!(publisher.publish(n).is_ok());
        subscriber.try_recv().map_or(0, |message| *message)
    };
    let mut sum = || (0..1000).map(&mut step).sum::<u64>();
    assert_eq!(sum(), 499_500);
    assert_eq!(counted(sum), 499_500);
}

fn pool_take_return() {
    let pool = Pool::builder(|| [0_u64; 8]).reset(|object| object[0] = 0).capacity(8).build();
    let step = || {
        let mut object = pool.take();
        object[0] += 1;
        object[0]
    };
    let sum = || (0..1000).map(|_| step()).sum::<u64>();
    assert_eq!(sum(), 1000);
    assert_eq!(counted(sum), 1000);
    assert_eq!(pool.stats().misses, 1);
}

fn event_notify_nobody() {
    let event = notify::Event::new();
    let notified = || (0..1000).map(|_| event.notify_one()).count();
    assert_eq!(notified(), 1000);
    assert_eq!(counted(notified), 1000);
}

fn oneshot_send_wait() {
    let answer = |n: u64| {
        let (sender, receiver) = notify::oneshot();
        sender.send(n);
        receiver.wait()
    };
    let sum = || (0..1000).flat_map(answer).sum::<u64>();
    assert_eq!(sum(), 499_500);
    assert_eq!(counted(sum), 499_500);
}
