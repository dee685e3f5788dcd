//! What watchers were told, held against states.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use queenright::{Change, Key, State, Value, Watch, WatchError, Watched};

/// No test waits nearly as long.
pub(crate) const HANGS: Duration = Duration::from_secs(60);

pub(crate) type Contents = BTreeMap<Key, Value>;

pub(crate) fn contents(state: &State) -> Contents {
    state.iter().map(|(key, entry)| (key.clone(), entry.value.clone())).collect()
}

/// Makes the changes, each of which must be one of what is there.
pub(crate) fn fold(state: &mut Contents, changes: &[Change]) {
    for Change { key, before, after, .. } in changes {
        assert_eq!(state.get(key), before.as_ref(), "{key}");
        assert_ne!(before, after, "{key}");
        match after {
            Some(value) => state.insert(key.clone(), value.clone()),
            None => state.remove(key),
        };
    }
}

/// All that was committed by now.
pub(crate) fn told(watch: &mut Watch) -> Vec<Watched> {
    std::iter::from_fn(|| watch.try_next().ok().flatten()).collect()
}

/// How two states differ, key by key.
pub(crate) fn difference(
    before: &State,
    after: &State,
    passes: impl Fn(&Key) -> bool,
) -> Difference {
    let (before, after) = (contents(before), contents(after));
    let keys = before.keys().chain(after.keys()).filter(|key| passes(key));
    let both = keys.map(|key| (key.clone(), (before.get(key).cloned(), after.get(key).cloned())));
    both.filter(|(_, (before, after))| before != after).collect()
}

pub(crate) type Difference = BTreeMap<Key, (Option<Value>, Option<Value>)>;

pub(crate) fn as_difference(changes: &[Change]) -> Difference {
    assert!(changes.is_sorted_by(|a, b| a.key < b.key), "in order, each once");
    let both = |it: &Change| (it.key.clone(), (it.before.clone(), it.after.clone()));
    changes.iter().map(both).collect()
}

/// Reads until the end, in one of the ways there are.
pub(crate) fn read_to_the_end(mut watch: Watch, way: usize) -> Vec<Watched> {
    match way % 4 {
        0 => watch.collect(),
        1 => {
            let next = || block_on(watch.next_async());
            std::iter::from_fn(next).collect()
        }
        2 => std::iter::from_fn(|| watch.next_timeout(HANGS).unwrap()).collect(),
        _ => {
            let mut all = Vec::new();
            loop {
                match watch.next_timeout(Duration::from_micros(50)) {
                    Ok(Some(watched)) => all.push(watched),
                    Ok(None) => return all,
                    Err(error) => assert_eq!(error, WatchError::NothingYet),
                }
            }
        }
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let (waker, woken) = telling();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => woken.recv_timeout(HANGS).expect("somebody wakes it"),
        }
    }
}

/// A waker that tells when it is called.
pub(crate) fn telling() -> (Waker, Receiver<()>) {
    struct Tell(Mutex<mpsc::Sender<()>>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().unwrap().send(());
        }
    }
    let (sender, receiver) = mpsc::channel();
    (Waker::from(Arc::new(Tell(Mutex::new(sender)))), receiver)
}
