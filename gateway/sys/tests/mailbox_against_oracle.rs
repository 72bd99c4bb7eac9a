//! Whatever is sent, taken and slept through, in any order: the mailbox does what a queue with a limit does.

use gpusher_sys::mailbox::{SendError, mailbox};
use proptest::prelude::*;
use std::collections::VecDeque;

const CAPACITY: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Send(u32),
    Pop,
    PrepareSleep,
    Awake,
    DropReceiver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<u32>().prop_map(Step::Send),
        6 => Just(Step::Pop),
        3 => Just(Step::PrepareSleep),
        3 => Just(Step::Awake),
        1 => Just(Step::DropReceiver),
    ]
}

proptest! {
    #[test]
    fn it_is_a_queue_with_a_limit(steps in prop::collection::vec(step(), 0..200)) {
        let (sender, receiver) = mailbox(CAPACITY).unwrap();
        let mut receiver = Some(receiver);
        let mut oracle = VecDeque::new();
        for step in steps {
            match (step, &mut receiver) {
                (Step::Send(number), None) => {
                    prop_assert_eq!(sender.send(number), Err(SendError::Closed(number)));
                }
                (Step::Send(number), Some(_)) if oracle.len() == CAPACITY => {
                    prop_assert_eq!(sender.send(number), Err(SendError::Full(number)));
                }
                (Step::Send(number), Some(_)) => {
                    prop_assert_eq!(sender.clone().send(number), Ok(()));
                    oracle.push_back(number);
                }
                (Step::Pop, Some(mail)) => prop_assert_eq!(mail.pop(), oracle.pop_front()),
                (Step::PrepareSleep, Some(mail)) => {
                    prop_assert_eq!(mail.prepare_sleep(), oracle.is_empty());
                }
                (Step::Awake, Some(mail)) => mail.awake(),
                (Step::DropReceiver, _) => {
                    receiver = None;
                    oracle.clear();
                }
                (_, None) => {}
            }
            prop_assert_eq!((sender.len(), sender.is_empty()), (oracle.len(), oracle.is_empty()));
        }
    }
}
