//! Answers of the data layer that come when what they were asked for is over.

use super::bounds::{KEY, commands, conn, core, open};
use super::*;
use gpusher_proto::data::{Head, Logged, Push, ReadPage, Route};
use gpusher_proto::gateway::{Delivery, Kick};

/// Registers the gateway's lease.
fn attach(core: &mut Core) {
    let Some(Work::Lease(LeaseAsk::Attach { link, .. })) = core.take_work(Lane::Lease) else {
        panic!("a lease is registered first");
    };
    core.on_done(Done::Attached(link, Ok(Vec::new())));
}

/// Answers the login in line: one message is due on the own channel.
fn log_in(core: &mut Core) {
    let Some(Work::Login(asks)) = core.take_work(Lane::Login) else {
        panic!("a login is in line");
    };
    let mut heads = [Head { first: 1, last: 0 }; 3];
    heads[0].last = 1;
    let answers = asks.into_iter().map(|ask| LoginAnswer {
        opened: ask.opened,
        login: ask.login,
        replaced: Vec::new(),
        cursors: [0; 3],
        heads,
    });
    core.on_done(Done::Login(Ok(answers.collect())));
}

fn read(core: &mut Core) -> ReadAsk {
    let Some(Work::Read(mut asks)) = core.take_work(Lane::Read) else {
        panic!("a page is asked for");
    };
    assert_eq!(asks.len(), 1);
    asks.remove(0)
}

#[test]
fn a_page_that_was_read_for_an_earlier_login_of_the_connection_is_not_taken() {
    let mut core = core(Limits::default());
    attach(&mut core);
    open(&mut core, 1, true);
    log_in(&mut core);
    let early = read(&mut core);
    open(&mut core, 1, true);
    log_in(&mut core);
    let late = read(&mut core);
    assert_eq!(early.request, late.request);
    commands(&mut core);
    // It was read before the message was appended.
    core.on_done(Done::Read(vec![(early, Ok(ReadPage::default()))]));
    assert_eq!(commands(&mut core), []);
    let logged = Logged { seq: 1, push: Some(Push { id: 9, ..Push::default() }) };
    let page = ReadPage { messages: vec![logged], more: false };
    core.on_done(Done::Read(vec![(late, Ok(page))]));
    let told = commands(&mut core);
    let [command::Kind::Delivery(Delivery { message: Some(message), replay: true, .. })] =
        &told[..]
    else {
        panic!("it is replayed: {told:?}");
    };
    assert_eq!((message.id, message.seq), (9, 1));
}

#[test]
fn who_has_lost_its_route_to_a_lease_is_told_although_the_link_is_gone() {
    let mut core = core(Limits::default());
    open(&mut core, 1, false);
    let Some(Work::Lease(LeaseAsk::Attach { link, .. })) = core.take_work(Lane::Lease) else {
        panic!("the lease is registered, with the routes of who is there");
    };
    let hello = Hello { gateway: 1, epoch: 1, ..Hello::default() };
    core.on_link_up(LinkKey(2), &hello);
    core.on_credit(LinkKey(2), 1_000);
    assert_ne!(link, LinkKey(2));
    core.take_batch(LinkKey(2));
    let route = Route { conn: conn(9), gateway: 1, gateway_epoch: 1, ..Route::default() };
    core.on_done(Done::Attached(KEY, Ok(vec![route])));
    let told = core.take_batch(LinkKey(2)).unwrap_or_default().commands;
    let kicked = |kind: &command::Kind| matches!(kind, command::Kind::Kick(Kick { conn: it, .. }) if *it == conn(9));
    assert!(told.iter().filter_map(|it| it.kind.as_ref()).any(kicked), "{told:?}");
}
