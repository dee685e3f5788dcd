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
