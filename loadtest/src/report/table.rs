//! The table at the end of a run.

use super::{Latency, PhaseReport, Report, StepReport};
use crate::receipts::Receipts;

/// Prints it to standard output.
pub fn print(report: &Report) {
    let environment = &report.environment;
    println!("\n{}", report.command);
    println!(
        "commit {}, Linux {}, {}, {} cores, both ends on it unless the server is elsewhere{}",
        environment.commit,
        environment.kernel,
        environment.cpu,
        environment.cores,
        if environment.optimised { "" } else { "; NOT AN OPTIMISED BUILD" },
    );
    println!("\nconnections   {} of {}, {}", report.logged_in, report.connections, report.protocol);
    println!(
        "logins        {:.0}/s over {:.1} s; latency p50 {:.1} ms, p99 {:.1}, max {:.1}",
        report.logins_per_s,
        report.login_s,
        report.login_latency_ms.p50,
        report.login_latency_ms.p99,
        report.login_latency_ms.max,
    );
    if report.logins_sent_away > 0 {
        println!("              told to come back later {} times", report.logins_sent_away);
    }
    if let Some(memory) = &report.memory {
        println!(
            "memory each   server {:.0} B, generator {:.0} B, kernel slab (all ends on this machine) {:.0} B",
            memory.server_user, memory.generator_user, memory.kernel_slab
        );
        println!(
            "memory in all server {} MiB resident, kernel {} MiB slab and TCP pages",
            memory.server_resident_bytes >> 20,
            memory.kernel_bytes >> 20
        );
    }
    for step in &report.steps {
        print_step(step);
    }
    if let (Some(ring), Some(calls)) =
        (report.bare_ring_cpu_us_per_message, report.bare_send_cpu_us_per_message)
    {
        println!(
            "\nthe floor, same run: CPU for each message {ring:.2} us by a bare ring, {calls:.2} us by bare send(2)"
        );
    }
    match (&report.invalid, report.passed()) {
        (Some(why), _) => println!("\nINVALID: {why}"),
        (None, true) => println!("\npassed: nobody was lost, every message arrived in order"),
        (None, false) => println!("\nFAILED: see what was lost, doubled, out of order or refused"),
    }
}

fn print_step(step: &StepReport) {
    println!("\n{}{}", step.name, if step.passed() { "" } else { "   FAILED" });
    for (what, count) in [
        ("lost", step.connections_lost),
        ("refused", step.connections_refused),
        ("missing at the end", step.connections_missing),
    ] {
        if count > 0 {
            println!("  connections {what}: {count}");
        }
    }
    for note in &step.notes {
        println!("  {}: {:.3} {}", note.name, note.value, note.unit);
    }
    if !step.phases.is_empty() {
        println!(
            "  {:<22} {:>10} {:>6} {:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "",
            "received",
            "lost",
            "twice",
            "order",
            "p50 ms",
            "p90",
            "p99",
            "p99.9",
            "max",
            "msg/s"
        );
    }
    for phase in &step.phases {
        print_phase(phase);
    }
}

fn print_phase(phase: &PhaseReport) {
    println!(
        "  {:<22} {:>10} {:>6} {:>6} {:>6}{} {:>9.0}",
        clip(&phase.name),
        phase.received,
        phase.lost,
        phase.duplicates,
        phase.disordered,
        columns(&phase.latency_ms),
        phase.messages_per_s,
    );
    if let Some(last) = &phase.last_receiver_ms {
        println!("  {:<54}{}", "  to the last receiver", columns(last));
    }
    let us = |cost: Option<f64>| cost.map_or_else(|| "-".to_owned(), |us| format!("{us:.2}"));
    println!(
        "    pushes accepted {} ({:.0}/s), refused {}; CPU us for each message: server {}, of it gateway {}, generator {}; its busiest thread {:.0} %",
        phase.accepted,
        phase.pushes_per_s,
        phase.refused,
        us(phase.server_cpu_us_per_message),
        us(phase.gateway_cpu_us_per_message),
        us(phase.generator_cpu_us_per_message),
        phase.busiest_thread.unwrap_or_default() * 100.0,
    );
    phase.receipts.iter().for_each(print_receipts);
}

fn print_receipts(receipts: &Receipts) {
    let Receipts { pushes, unknown, taken, acknowledged, due, .. } = receipts;
    let verdict = if receipts.add_up() { "they add up" } else { "THEY DO NOT ADD UP" };
    println!(
        "    receipts of {pushes} pushes ({unknown} unknown) for {due} receivers: taken by {taken}, acknowledged by {acknowledged}: {verdict}"
    );
}

fn columns(latency: &Latency) -> String {
    let Latency { p50, p90, p99, p999, max } = latency;
    format!(" {p50:>9.2} {p90:>9.2} {p99:>9.2} {p999:>9.2} {max:>9.2}")
}

fn clip(name: &str) -> String {
    name.chars().take(22).collect()
}
