//! What must hold: everybody logs in with a token that is checked, every push arrives once and in order by the receivers' own account, and the
//! report says so in each of its forms.

use crate::system::{CONNECTIONS, config, perform, perform_with};
use gpusher_loadtest::protocol::Name;
use gpusher_loadtest::report::html;

async fn everything_arrives(protocol: Name) {
    let mut config = config(
        protocol,
        &[
            "app:rate=200",
            "app:rate=200,kept,receipts",
            "broadcast:rate=max,window=4,size=200,receipts",
            "unicast:rate=200,count=80,receipts",
            "unicast:rate=400,count=80,kept",
            "batch:rate=1000,count=100,batch=7,kept,receipts",
            "upstream:rate=200,count=60",
        ],
    );
    config.plan.logins_per_s = f64::INFINITY;
    config.plan.logins_under_way = 6;
    let report = perform(config).await;
    assert_eq!(report.logged_in, u64::from(CONNECTIONS));
    for step in &report.steps {
        assert!(step.passed(), "{step:?}");
        assert!(step.phases.iter().all(|phase| phase.received == phase.expected), "{step:?}");
    }
    assert!(report.passed());
    let received: Vec<u64> = report.steps.iter().map(|step| step.phases[0].received).collect();
    let each = u64::from(CONNECTIONS);
    assert_eq!(received, [20 * each, 20 * each, 20 * each, 80, 80, 100, 60]);
    let receipts: Vec<u64> =
        report.steps.iter().filter_map(|step| Some(step.phases[0].receipts?.pushes)).collect();
    assert_eq!(receipts, [20, 20, 80, 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_and_in_order_over_version_0() {
    everything_arrives(Name::V0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_and_in_order_over_version_1() {
    everything_arrives(Name::V1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_reach_their_members() {
    for protocol in [Name::V0, Name::V1] {
        let mut config = config(protocol, &["topic:rate=200,count=30"]);
        config.plan.account.topics = 7;
        let report = perform(config).await;
        assert!(report.passed(), "{:?}", report.steps);
        let members = |topic: u32| u64::from(topic < 5) + u64::from(CONNECTIONS / 7);
        let expected: u64 = (0..30).map(|push| members(push % 7)).sum();
        assert_eq!(report.steps[0].phases[0].received, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_are_measured_beside_churn_silence_and_broadcasts() {
    let steps = [
        "churn:rate=50,seconds=0.5",
        "slow:share=0.2,rate=100,count=20",
        "busy:rate=100,count=20,background=1000",
        "hold:seconds=0.1",
    ];
    let report = perform(config(Name::V1, &steps)).await;
    for step in &report.steps {
        assert!(step.passed(), "{step:?}");
    }
    let value = |step: usize, name: &str| {
        let note = report.steps[step].notes.iter().find(|note| note.name == name);
        note.unwrap_or_else(|| panic!("no {name}")).value
    };
    assert_eq!(value(0, "came back"), 25.0);
    assert_eq!(value(1, "do not read"), 8.0);
    let received = |step: usize, phase: usize| report.steps[step].phases[phase].received;
    assert_eq!(received(1, 0), 20 * u64::from(CONNECTIONS));
    assert_eq!(received(1, 1), 20 * u64::from(CONNECTIONS - 8));
    assert_eq!((received(2, 0), received(2, 1)), (20, 20));
    assert!(received(2, 2) >= u64::from(CONNECTIONS));

    let page = html(&report);
    for part in ["churn:rate=50", "Latency by percentile", "Connections logged in", "</html>"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("<script"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["steps"][3]["name"], "hold:seconds=0.1");
    assert!(json["timeline"].as_array().is_some_and(|samples| !samples.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_away_comes_back_when_told() {
    let config = config(Name::V1, &["storm:rate=200,count=20"]);
    let report = perform_with(config, &[("LOGIC__LIMITS__LOGINS_PER_S", "25")]).await;
    assert_eq!(report.logged_in, u64::from(CONNECTIONS));
    let step = &report.steps[0];
    assert!(step.passed(), "{step:?}");
    let value = |name: &str| step.notes.iter().find(|note| note.name == name).unwrap().value;
    assert!(value("came back") >= f64::from(CONNECTIONS / 2), "{step:?}");
    // More than a second's worth came at once, first to log in and then to come back.
    assert!(report.logins_sent_away > 0, "{}", report.logins_sent_away);
    assert!(value("sent away") > 0.0, "{step:?}");
    let phases = step.phases[1..].iter();
    assert!(phases.map(|phase| phase.received).sum::<u64>() > 0, "{step:?}");
}
