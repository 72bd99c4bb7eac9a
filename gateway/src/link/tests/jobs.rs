//! Deliveries and their outcomes.

use super::*;
use crate::mail::{Audience, JobDone};

async fn job(rig: &Rig, shard: usize) -> crate::mail::Job {
    match rig.mail(shard).await {
        ToShard::Deliver(job) => job,
        other => panic!("not a delivery: {other:?}"),
    }
}

fn done(job: &crate::mail::Job, written: u32) -> FromShard {
    let (link, job) = (Some(job.link), job.job);
    FromShard::Done(JobDone { link, job, written, ..JobDone::default() })
}

async fn outcome(logic: &mut Logic) -> Outcome {
    match logic.event().await {
        event::Kind::Outcome(outcome) => outcome,
        other => panic!("not an outcome: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_outcome_comes_when_the_last_shard_is_done() {
    let rig = Rig::start();
    let (mut logic, _) = rig.attach("a").await;
    logic.command(delivery(9, delivery::Audience::AppId(APP))).await;
    let first = job(&rig, 0).await;
    let second = job(&rig, 1).await;
    assert_eq!(first.audience, Audience::App(APP));
    rig.report(vec![done(&first, 5)]);
    logic.hears_nothing().await;
    rig.report(vec![done(&second, 6)]);
    let outcome = outcome(&mut logic).await;
    assert_eq!((outcome.job, outcome.written), (9, 11));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_concerns_no_shard_is_answered_at_once() {
    let rig = Rig::start();
    let (mut logic, _) = rig.attach("a").await;
    let elsewhere = ConnId::new(GATEWAY + 1, 0, 1, 1).raw();
    logic.command(to_conns(9, vec![elsewhere])).await;
    assert_eq!(outcome(&mut logic).await.absent, [elsewhere]);
}

#[tokio::test(start_paused = true)]
async fn commands_of_one_connection_keep_their_order() {
    let rig = Rig::start();
    let (logic, _) = rig.attach("a").await;
    let id = conn(1, 4);
    let position = SyncDone { conn: id, ..SyncDone::default() };
    let commands = vec![
        command::Kind::Admit(Admit { conn: id, ..Admit::default() }),
        command::Kind::SyncStart(SyncStart { conn: id, announcement: 0 }),
        to_conns(1, vec![id]),
        command::Kind::SyncDone(position),
        command::Kind::Kick(Kick { conn: id, ..Kick::default() }),
    ];
    logic.commands(commands).await;
    assert!(matches!(rig.mail(1).await, ToShard::Admit(..)));
    assert!(matches!(rig.mail(1).await, ToShard::SyncStart(..)));
    assert!(matches!(rig.mail(1).await, ToShard::Deliver(_)));
    assert!(matches!(rig.mail(1).await, ToShard::SyncDone(..)));
    assert!(matches!(rig.mail(1).await, ToShard::Kick(_)));
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_an_ended_link_are_finished_for_nobody() {
    let rig = Rig::start();
    let (logic, _) = rig.attach("a").await;
    logic.command(delivery(9, delivery::Audience::Everyone(true))).await;
    let parts = [job(&rig, 0).await, job(&rig, 1).await];
    drop(logic);
    rig.links().await;
    let (mut next, _) = rig.attach("a").await;
    rig.report(parts.iter().map(|part| done(part, 1)).collect());
    next.hears_nothing().await;
    rig.until(LinkCount::Jobs, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_passed_to_every_shard() {
    let rig = Rig::start();
    let (logic, _) = rig.attach("a").await;
    let drain = Drain { rate: 10, reason: 402, grace_ms: 7, target: "b:1".into() };
    logic.command(command::Kind::Drain(drain)).await;
    for shard in 0..2 {
        let ToShard::Drain { rate, reason, grace_ms, target } = rig.mail(shard).await else {
            panic!("not a drain")
        };
        assert_eq!((rate, reason, grace_ms, target.as_str()), (5, 402, 7, "b:1"));
    }
}
