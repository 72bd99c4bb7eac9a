//! What operators read: health, readiness that names what is missing, counters that move.

use crate::support::*;
use gpusher_gateway::config::Io;

async fn pages_tell_the_state(io: Io) {
    let gateway = gateway(io, |_| {});
    assert_eq!(page(&gateway, "/healthz").await, (200, "ok\n".into()));
    let (status, body) = page(&gateway, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("no logic attached"), "{body}");

    let mut logic = Logic::attach(&gateway, Way::InProcess, "a").await;
    let mut client = send_login_v0(&gateway, "u").await;
    let conn = logic.admit_next().await.conn;
    client.frame().await;
    logic.deliver(live(1, "x"), to(conn)).await;
    client.frame().await;

    assert_eq!(page(&gateway, "/readyz").await, (200, "ok\n".into()));
    let (status, body) = page(&gateway, "/connections").await;
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"connections":1,"admitted":1,"connections_max":1000"#), "{body}");
    let (_, text) = page(&gateway, "/metrics").await;
    let io = if io == Io::Uring { "io_uring" } else { "epoll" };
    for line in [
        format!("gpusher_gateway_build{{io=\"{io}\","),
        "gpusher_gateway_logics_attached 1".into(),
        "gpusher_gateway_connections_max 1000".into(),
        "gpusher_process_heap_bytes{allocator=\"jemalloc\"} ".into(),
        "# EOF".into(),
    ] {
        assert!(text.lines().any(|l| l.starts_with(&line)), "{line} is not in\n{text}");
    }
    for (name, at_least) in [("logins_total", 1), ("messages_written_total", 1)] {
        let prefix = format!("gpusher_gateway_{name}{{");
        let of_name = text.lines().filter(|line| line.starts_with(&prefix));
        let values = of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        assert!(values.sum::<u64>() >= at_least, "{name} in\n{text}");
    }
    gateway.shutdown().await;
}

on_both_drivers!(pages_tell_the_state);
