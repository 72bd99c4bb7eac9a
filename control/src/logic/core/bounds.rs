//! What is beyond a bound is answered and counted, and what is within it is not.

use super::*;
use gpusher_proto::data::{Job, MessageKey, Record, job};
use gpusher_proto::gateway::{Admit, Announced, Answer, Event, Logics, Upstream};

pub(super) const KEY: LinkKey = LinkKey(1);

/// A logic with one gateway, which has credit.
pub(super) fn core(limits: Limits) -> Core {
    let ids = Arc::new(MessageIds::new(1));
    let mut core = Core::new(limits, Arc::default(), ids, 5, true);
    core.set_time(Now { mono_ms: 1, unix_ms: 1 });
    core.on_link_up(KEY, &Hello { gateway: 1, epoch: 1, ..Hello::default() });
    core.on_credit(KEY, 1_000);
    core
}

pub(super) fn conn(slot: u32) -> u64 {
    ConnId::new(1, 0, slot, 1).raw()
}

fn tell(core: &mut Core, kind: event::Kind) {
    core.on_report(KEY, Report { events: vec![Event { kind: Some(kind) }] });
}

pub(super) fn open(core: &mut Core, slot: u32, again: bool) {
    let user = format!("user {slot}");
    let opened = Opened { conn: conn(slot), app_id: 7, user, again, ..Opened::default() };
    tell(core, event::Kind::Opened(opened));
}

pub(super) fn commands(core: &mut Core) -> Vec<command::Kind> {
    let batch = core.take_batch(KEY).unwrap_or_default();
    batch.commands.into_iter().filter_map(|command| command.kind).collect()
}

#[test]
fn logins_beyond_the_line_are_told_to_come_back() {
    let mut core = core(Limits { logins_waiting: 3, ..Limits::default() });
    // The gateway's lease is not registered: all of them wait.
    (0..3).for_each(|slot| open(&mut core, slot, false));
    assert_eq!(core.counters.get(Count::LoginsOverloaded), 0);
    commands(&mut core);
    open(&mut core, 3, false);
    open(&mut core, 4, true);
    assert_eq!(core.counters.get(Count::LoginsOverloaded), 1);
    let told = commands(&mut core);
    let [command::Kind::Admit(Admit { conn: refused, code, delay_ms, .. })] = &told[..] else {
        panic!("one is refused, who was there before is not: {told:?}");
    };
    assert_eq!((*refused, *code), (conn(3), login::code::OVERLOADED));
    assert!(*delay_ms > 0);
}

#[test]
fn clients_messages_beyond_the_bounds_are_refused() {
    let limits =
        Limits { content_bytes: 10, upstream_waiting: 3, upstream_bytes: 15, ..Limits::default() };
    let mut core = core(limits);
    open(&mut core, 1, false);
    commands(&mut core);
    let mut answer_to = |bytes: usize| {
        let content = vec![b'x'; bytes].into();
        let upstream = Upstream { conn: conn(1), content, answer: true, ..Upstream::default() };
        tell(&mut core, event::Kind::Upstream(upstream));
        commands(&mut core).into_iter().find_map(|kind| match kind {
            command::Kind::Answer(Answer { code, .. }) => Some(code),
            _ => None,
        })
    };
    assert_eq!(answer_to(11), Some(login::code::TOO_LARGE));
    assert_eq!(answer_to(10), None, "it waits for the store");
    assert_eq!(answer_to(6), Some(login::code::NOT_AVAILABLE), "too many bytes");
    assert_eq!(answer_to(4), None);
    assert_eq!(answer_to(1), None);
    assert_eq!(answer_to(0), Some(login::code::NOT_AVAILABLE), "too many messages");
    assert_eq!(core.counters.get(Count::UpstreamRefused), 3);
}

#[test]
fn records_held_back_for_a_gateway_are_bounded() {
    let limits = Limits { jobs_open: 4, held_back: 10, ..Limits::default() };
    let ids = Arc::new(MessageIds::new(1));
    let mut core = Core::new(limits, Arc::default(), ids, 5, false);
    core.set_time(Now { mono_ms: 1, unix_ms: 1 });
    core.unlinked.insert(2, u64::MAX);
    for offset in 1..=10 {
        assert!(core.has_room(), "those that are done do not count as open");
        core.progress.begin(offset);
        core.owe(2, offset);
        core.progress.finish_part(offset);
        assert_eq!((core.take_commit(), core.progress.unfinished()), (None, 1));
    }
    assert!(!core.has_room());
    core.give_up_owed();
    assert_eq!((core.take_commit(), core.counters.get(Count::OwedGivenUp)), (Some(10), 1));
    assert!(core.has_room());
}

#[test]
fn numbers_at_hand_are_dropped_where_others_take_some_too() {
    for others in [0, 1] {
        let mut core = core(Limits::default());
        let names = (0..=others).map(|name| format!("logic-{name}")).collect();
        tell(&mut core, event::Kind::Logics(Logics { names }));
        let key = (7, "ada".to_owned());
        core.blocks.as_mut().unwrap().fill(key.clone(), 10, 5);
        core.on_records(vec![Record { offset: 1, ..Record::default() }]);
        let Some(Work::Prepare { blocks, block, .. }) = core.take_work(Lane::Prepare) else {
            panic!("a record is prepared");
        };
        let expected = if others == 0 { (5, Limits::default().sequence_block) } else { (0, 1) };
        assert_eq!((blocks.left(&key), block), expected);
    }
}

fn recall(core: &mut Core, offset: u64) {
    let kind = Some(job::Kind::Recall(MessageKey { id: 9 }));
    core.on_records(vec![Record { offset, job: Some(Job { kind }), ..Record::default() }]);
    let Some(Work::Prepare { blocks, .. }) = core.take_work(Lane::Prepare) else {
        panic!("a record is prepared");
    };
    let recall = Prepared::Recall { message: 9, placed: Vec::new(), routes: Vec::new() };
    core.on_done(Done::Prepare { prepared: vec![(offset, recall)], blocks });
}

#[test]
fn a_recall_is_held_back_for_a_gateway_that_is_cut_off() {
    let mut core = core(Limits::default());
    core.on_all_announced();
    recall(&mut core, 1);
    commands(&mut core);
    assert_eq!(core.take_commit(), Some(1), "it was told");
    core.on_link_down(KEY, false);
    recall(&mut core, 2);
    core.on_tick();
    assert_eq!(core.take_commit(), None);
    core.on_link_up(KEY, &Hello { gateway: 1, epoch: 1, ..Hello::default() });
    core.on_credit(KEY, 1_000);
    let told = commands(&mut core);
    let recalled = told.iter().position(|kind| matches!(kind, command::Kind::Recall(_)));
    let asked = told.iter().position(|kind| matches!(kind, command::Kind::AnnounceAgain(_)));
    assert!(recalled.is_some() && recalled < asked, "what it announces comes after: {told:?}");
    tell(&mut core, event::Kind::Announced(Announced { again: 0 }));
    assert_eq!(core.take_commit(), None);
    tell(&mut core, event::Kind::Announced(Announced { again: 1 }));
    assert_eq!(core.take_commit(), Some(2));
}

#[test]
fn a_recall_is_held_back_for_gateways_that_are_not_known_yet() {
    let mut core = core(Limits::default());
    recall(&mut core, 1);
    commands(&mut core);
    core.on_tick();
    assert_eq!(core.take_commit(), None);
    core.on_all_announced();
    core.on_tick();
    assert_eq!(core.take_commit(), Some(1));
}
