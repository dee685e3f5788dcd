//! The channel: what a caller is told, and that whoever waits is woken.

use std::time::Duration;

use super::*;
use crate::testing::{counting_waker, poll};

#[test]
fn it_gives_tasks_by_class_and_says_when_there_will_be_no_more() {
    let channel = LaneChannel::bounded(2, 100);
    channel.push(1, Class::Low).unwrap();
    channel.try_push(2, Class::High).unwrap();
    channel.push(3, Class::Low).unwrap();
    assert_eq!(channel.depths(), [0, 1, 0, 2, 0]);
    assert_eq!(channel.try_push(4, Class::Low), Err(PushError::Full(4)));
    channel.close();
    assert!(channel.is_closed());
    assert_eq!(channel.try_push(5, Class::High), Err(PushError::Closed(5)));
    assert_eq!(channel.push(6, Class::Low), Err(PushError::Closed(6)));
    let mut out = Vec::new();
    assert_eq!(channel.pop_many(&mut out, 2), 2);
    assert_eq!(channel.pop_many(&mut out, 0), 0);
    assert_eq!(channel.pop_many(&mut out, 2), 1);
    assert_eq!(channel.pop_many(&mut out, 2), 0);
    assert_eq!(out, [2, 1, 3]);
}

#[test]
fn who_gives_up_waiting_for_room_has_the_task_back() {
    let channel = LaneChannel::bounded(1, 100);
    channel.push("first", Class::Normal).unwrap();
    let late = channel.push_timeout("late", Class::Normal, Duration::from_millis(1));
    assert_eq!(late, Err(PushError::Full("late")));
    let at_once = channel.push_timeout("other", Class::High, Duration::ZERO);
    assert_eq!(at_once, Ok(()), "another class has room of its own");
}

#[test]
fn a_task_that_sends_is_woken_by_room_and_by_the_end() {
    let channel = LaneChannel::bounded(1, 100);
    channel.push(1, Class::Normal).unwrap();
    let (waker, wakes) = counting_waker();
    let mut second = channel.send(2, Class::Normal);
    assert!(poll(&mut second, &waker).is_pending());
    let mut out = Vec::new();
    assert_eq!(channel.try_pop_many(&mut out, 9), 1);
    assert_eq!(wakes(), 1);
    assert!(poll(&mut second, &waker).is_ready());
    let mut third = channel.send(3, Class::Normal);
    assert!(poll(&mut third, &waker).is_pending());
    channel.close();
    assert_eq!(wakes(), 2);
    assert_eq!(poll(&mut third, &waker), std::task::Poll::Ready(Err(PushError::Closed(3))));
}

/// All that many threads push before and beside the end is popped by others, or given back.
#[test]
fn nothing_is_lost_beside_the_end() {
    const EACH: usize = if cfg!(miri) { 20 } else { 2000 };
    let channel = LaneChannel::bounded(8, 100);
    let (kept, popped) = std::thread::scope(|scope| {
        let consumers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut out = Vec::new();
                while channel.pop_many(&mut out, 3) > 0 {}
                out.len()
            })
        });
        let producers = [0, 1, 2].map(|producer| {
            let channel = &channel;
            scope.spawn(move || {
                let push = |task: &usize| channel.push(*task, Class::ALL[task % 5]).is_ok();
                let pushed = (0..EACH).take_while(push).count();
                if producer == 0 {
                    channel.close();
                }
                pushed
            })
        });
        let kept: usize = producers.map(|producer| producer.join().unwrap()).into_iter().sum();
        let popped: usize = consumers.map(|consumer| consumer.join().unwrap()).into_iter().sum();
        (kept, popped)
    });
    assert_eq!(kept, popped);
    assert!(kept >= EACH, "the first pushed all of its own before the end");
}

/// Where no cell is left because many others are stopped in their pushes, there may be room all the same: whoever waits for it looks
/// again by itself, as nobody would wake it.
#[test]
fn who_found_no_cell_does_not_sleep_beside_room() {
    use std::sync::{Barrier, mpsc};
    use std::thread;

    use super::super::atomic::before_access;
    const FAILS: Duration = Duration::from_secs(60);
    const ALONE: &str = "QUEENRIGHT_TEST_ALONE";
    // In a process of its own: threads of other tests have numbers, and give them back at any time.
    if std::env::var_os(ALONE).is_none() {
        let name = "schedule::lanes::tests::channel::who_found_no_cell_does_not_sleep_beside_room";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args([name, "--exact"]).env(ALONE, "1").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        return;
    }
    // Others have the small numbers, and so the holders that are not shared.
    let all = Arc::new(Barrier::new(17));
    let _others: Vec<mpsc::Sender<()>> = (0..16)
        .map(|_| {
            let (all, (keep, end)) = (Arc::clone(&all), mpsc::channel());
            thread::spawn(move || {
                crate::sync::own_number();
                all.wait();
                let _ = end.recv();
            });
            keep
        })
        .collect();
    all.wait();
    let mut met = 0;
    for access in 0..16 {
        let channel = Arc::new(LaneChannel::<u32>::bounded(64, u64::MAX));
        let (mut stopped, mut pushers) = (Vec::new(), Vec::new());
        for number in 0..16 {
            let (tell, told) = mpsc::channel();
            let (go_on, gate) = mpsc::channel::<()>();
            let channel = Arc::clone(&channel);
            pushers.push(thread::spawn(move || {
                let end = tell.clone();
                // Each of them looks at one more holder that is taken.
                before_access(access + number, move || {
                    let _ = (tell.send(()), gate.recv());
                });
                assert!(channel.try_push(7, Class::Normal).is_ok());
                let _ = end.send(());
            }));
            told.recv().unwrap();
            stopped.push(go_on);
        }
        let mut out = Vec::new();
        channel.try_pop_many(&mut out, 100);
        let probe = Arc::clone(&channel);
        let probe = thread::spawn(move || probe.try_push(0, Class::Normal).is_err());
        met += usize::from(probe.join().unwrap());
        let (tell, told) = mpsc::channel();
        let done = tell.clone();
        let last = {
            let channel = Arc::clone(&channel);
            thread::spawn(move || {
                // So many accesses are more than one attempt, or two.
                before_access(300, move || _ = tell.send(()));
                channel.push(8, Class::Normal).unwrap();
                let _ = done.send(());
            })
        };
        told.recv_timeout(FAILS).expect("it goes on looking, or is done");
        drop(stopped);
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        last.join().unwrap();
    }
    assert!(met > 0, "at one of these places there is room, but no cell");
}

#[test]
fn who_waits_for_tasks_may_give_up_and_is_told_of_the_end() {
    let channel = LaneChannel::<u32>::bounded(8, 4);
    let mut out = Vec::new();
    assert_eq!(channel.pop_many_timeout(&mut out, 1, Duration::from_millis(1)), None);
    assert_eq!(channel.pop_many_timeout(&mut out, 0, Duration::MAX), Some(0));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut out = Vec::new();
            (channel.pop_many_timeout(&mut out, 1, Duration::from_secs(600)), out)
        });
        channel.push(7, Class::Normal).unwrap();
        assert_eq!(waiting.join().unwrap(), (Some(1), vec![7]));
        let waiting = scope.spawn(|| channel.pop_many_timeout(&mut out, 1, Duration::MAX));
        channel.close();
        assert_eq!(waiting.join().unwrap(), Some(0));
    });
}
