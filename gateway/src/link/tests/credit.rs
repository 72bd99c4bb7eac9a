//! What bounds the flow, both ways.

use super::*;
use crate::link::LinkEnd;
use crate::mail::JobDone;

fn kick(slot: u32) -> command::Kind {
    command::Kind::Kick(Kick { conn: conn(0, slot), reason: slot, ..Kick::default() })
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_holds_credit_back_and_loses_nothing() {
    let rig = Rig::with(4, |config| config.link.commands_max = 8);
    let (mut logic, _) = rig.attach("a").await;
    logic.has_credit(8).await;
    logic.credit = 0;
    logic.commands((0..8).map(kick).collect()).await;
    // Four fit; credit for those comes back, the rest waits.
    logic.has_credit(4).await;
    rig.until(LinkCount::MailWaiting, 4).await;
    for slot in 0..8 {
        let ToShard::Kick(kick) = rig.mail(0).await else { panic!("not a kick") };
        assert_eq!(kick.reason, slot);
    }
    logic.has_credit(8).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_does_not_hold_up_another_shard() {
    let rig = Rig::with(1, |_| {});
    let (logic, _) = rig.attach("a").await;
    let other = Kick { conn: conn(1, 3), ..Kick::default() };
    logic.commands(vec![kick(0), kick(1), command::Kind::Kick(other)]).await;
    assert!(matches!(rig.mail(1).await, ToShard::Kick(_)));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_gives_its_credit_back_when_it_is_finished() {
    let rig = Rig::with(64, |config| config.link.commands_max = 4);
    let (mut logic, set) = rig.attach("a").await;
    logic.has_credit(4).await;
    logic.credit = 0;
    logic.commands((0..4).map(|job| to_conns(job, vec![conn(0, 1)])).collect()).await;
    let wait = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(wait, logic.has_credit(1)).await.is_err());
    let link = set.pick(0);
    rig.report(vec![FromShard::Done(JobDone { link, job: 2, ..JobDone::default() })]);
    logic.has_credit(1).await;
}

#[tokio::test(start_paused = true)]
async fn spending_more_than_was_given_ends_the_link() {
    let rig = Rig::with(64, |config| config.link.commands_max = 4);
    let (mut logic, _) = rig.attach("a").await;
    logic.commands((0..5).map(|job| to_conns(job, vec![conn(0, 1)])).collect()).await;
    assert_eq!(logic.ended().await, LinkEnd::Violation("more commands than credit"));
}

#[tokio::test(start_paused = true)]
async fn no_commands_are_read_while_too_many_bytes_are_under_way() {
    let rig = Rig::with(64, |config| config.link.jobs_bytes_max = 1);
    let (logic, set) = rig.attach("a").await;
    logic.command(to_conns(1, vec![conn(0, 1)])).await;
    assert!(matches!(rig.mail(0).await, ToShard::Deliver(_)));
    logic.command(kick(1)).await;
    rig.until(LinkCount::JobBytesFull, 1).await;
    assert!(rig.shards[0].mails.lock().is_empty());
    let link = set.pick(0);
    rig.report(vec![FromShard::Done(JobDone { link, job: 1, ..JobDone::default() })]);
    assert!(matches!(rig.mail(0).await, ToShard::Kick(_)));
}

/// Fills all there is between the shards and a logic that reads nothing.
async fn flood(rig: &Rig, set: &LinkSet) -> u64 {
    let link = set.pick(0).unwrap();
    let mut sent = 0;
    while rig.counts.get(LinkCount::EventsFull) == 0 {
        let ack = |seq| Ack { conn: conn(0, 1), seq, ..Ack::default() };
        let event = |seq| FromShard::Event { link, app_id: APP, event: event::Kind::Ack(ack(seq)) };
        let mut batch: Vec<_> = (sent..sent + 100).map(event).collect();
        sent += 100;
        while !rig.to_link.try_send(&mut batch) {
            tokio::task::yield_now().await;
        }
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn a_logic_that_falls_behind_gets_everything_in_order() {
    let rig = Rig::start();
    let (mut logic, set) = rig.attach("a").await;
    let sent = flood(&rig, &set).await;
    for seq in 0..sent {
        assert!(matches!(logic.event().await, event::Kind::Ack(ack) if ack.seq == seq));
    }
}

#[tokio::test(start_paused = true)]
async fn a_logic_that_reads_nothing_is_cut_off() {
    let rig = Rig::start();
    let (mut logic, set) = rig.attach("a").await;
    flood(&rig, &set).await;
    assert!(rig.links().await.is_empty());
    assert_eq!(logic.ended().await, LinkEnd::Stalled);
    assert_eq!(rig.counts.get(LinkCount::Stalls), 1);
}
