//! The report as one page that needs nothing else: tables, and plots as inline SVG.

use super::{Latency, PhaseReport, Report};
use crate::sample::Sample;
use gpusher_figures::plot::{Line, Plot, STYLE as PLOT_STYLE, Scale, escape};
use std::fmt::Write;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
table{border-collapse:collapse;font-size:13px;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
td,th{padding:.2rem .5rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
td:first-child,th:first-child{text-align:left}
.bad{color:#b00020;font-weight:600}.good{color:#00695c;font-weight:600}
svg{width:100%;max-width:50rem;display:block;margin:1rem 0}
code{background:#f4f4f4;padding:.1rem .3rem;overflow-wrap:anywhere}";

/// The page.
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    let title = format!("gpusher-loadtest: {} connections", report.connections);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}\n{PLOT_STYLE}</style>\n<h1>{title}</h1>\n"
    );
    head(report, &mut page);
    for step in &report.steps {
        let verdict = if step.passed() { "good\">passed" } else { "bad\">failed" };
        let name = escape(&step.name);
        let _ = writeln!(page, "<h2>{name} <small class=\"{verdict}</small></h2>");
        rows(
            &mut page,
            step.notes
                .iter()
                .map(|note| (note.name.clone(), format!("{:.3} {}", note.value, note.unit))),
        );
        if step.connections_lost + step.connections_refused + step.connections_missing > 0 {
            let _ = writeln!(
                page,
                "<p class=\"bad\">connections lost {}, refused {}, missing at the end {}</p>",
                step.connections_lost, step.connections_refused, step.connections_missing
            );
        }
        phases(&step.phases, &mut page);
        page.push_str(&latency_plot(&step.phases));
    }
    page.push_str("<h2>Over time</h2>\n");
    page.push_str(&over_time(&report.timeline));
    page.push_str("</html>\n");
    page
}

fn head(report: &Report, page: &mut String) {
    let environment = &report.environment;
    let (class, verdict) = match (&report.invalid, report.passed()) {
        (Some(why), _) => ("bad", format!("invalid: {why}")),
        (None, true) => {
            ("good", "passed: nobody was lost, every message arrived in order".to_owned())
        }
        (None, false) => ("bad", "failed".to_owned()),
    };
    let _ = write!(
        page,
        "<p class=\"{class}\">{}</p><p><code>{}</code></p><p>commit {}, Linux {}, {}, {} cores{}</p>",
        escape(&verdict),
        escape(&report.command),
        escape(&environment.commit),
        escape(&environment.kernel),
        escape(&environment.cpu),
        environment.cores,
        if environment.optimised { "" } else { ", <b class=\"bad\">not an optimised build</b>" }
    );
    let login = &report.login_latency_ms;
    let mut facts = vec![
        (
            "connections",
            format!("{} of {}, {}", report.logged_in, report.connections, escape(&report.protocol)),
        ),
        ("logins", format!("{:.0}/s over {:.1} s", report.logins_per_s, report.login_s)),
        (
            "login latency",
            format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", login.p50, login.p99, login.max),
        ),
    ];
    if let Some(memory) = &report.memory {
        facts.extend([
            ("server memory for each connection", format!("{:.0} B", memory.server_user)),
            ("generator memory for each connection", format!("{:.0} B", memory.generator_user)),
            (
                "kernel slab for each connection, all ends on this machine",
                format!("{:.0} B", memory.kernel_slab),
            ),
            ("server resident", format!("{} MiB", memory.server_resident_bytes >> 20)),
            ("kernel slab and TCP pages", format!("{} MiB", memory.kernel_bytes >> 20)),
        ]);
    }
    let floors = [
        ("a bare ring, CPU for each message", report.bare_ring_cpu_us_per_message),
        ("bare send(2), CPU for each message", report.bare_send_cpu_us_per_message),
    ];
    facts
        .extend(floors.into_iter().filter_map(|(name, us)| Some((name, format!("{:.2} us", us?)))));
    rows(page, facts.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

fn rows(page: &mut String, facts: impl Iterator<Item = (String, String)>) {
    page.push_str("<table>");
    for (name, value) in facts {
        let _ = write!(page, "<tr><td>{}</td><td>{value}</td></tr>", escape(&name));
    }
    page.push_str("</table>\n");
}

fn phases(phases: &[PhaseReport], page: &mut String) {
    if phases.is_empty() {
        return;
    }
    page.push_str(
        "<table><tr><th></th><th>received</th><th>lost</th><th>twice</th><th>order</th><th>p50 ms</th><th>p90</th><th>p99</th>\
         <th>p99.9</th><th>max</th><th>messages/s</th><th>pushes/s</th><th>server CPU us</th><th>gateway</th><th>generator</th></tr>",
    );
    for phase in phases {
        let us = |cost: Option<f64>| cost.map_or_else(|| "-".to_owned(), |us| format!("{us:.2}"));
        let class = if phase.clean() { "" } else { " class=\"bad\"" };
        let _ = write!(
            page,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}<td>{:.0}</td><td>{:.0}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&phase.name),
            phase.received,
            phase.lost,
            phase.duplicates,
            phase.disordered,
            cells(&phase.latency_ms),
            phase.messages_per_s,
            phase.pushes_per_s,
            us(phase.server_cpu_us_per_message),
            us(phase.gateway_cpu_us_per_message),
            us(phase.generator_cpu_us_per_message),
        );
        if let Some(last) = &phase.last_receiver_ms {
            let _ = write!(
                page,
                "<tr><td>&nbsp; to the last receiver</td><td colspan=4></td>{}</tr>",
                cells(last)
            );
        }
    }
    page.push_str("</table>\n");
}

fn cells(latency: &Latency) -> String {
    let Latency { p50, p90, p99, p999, max } = latency;
    [p50, p90, p99, p999, max].into_iter().map(|ms| format!("<td>{ms:.2}</td>")).collect()
}

fn latency_plot(phases: &[PhaseReport]) -> String {
    let line = |phase: &'_ PhaseReport| (phase.name.clone(), phase.spectrum.clone());
    let named: Vec<_> = phases.iter().map(line).collect();
    let lines = named.iter().map(|(name, points)| Line { name, points: points.clone() }).collect();
    Plot {
        title: "Latency by percentile",
        x: ("percentile", Scale::Nines),
        y: ("ms", Scale::Logarithmic),
        lines,
    }
    .svg()
}

fn over_time(timeline: &[Sample]) -> String {
    let level = |value: fn(&Sample) -> f64| {
        timeline.iter().map(|sample| (sample.at_s, value(sample))).collect::<Vec<_>>()
    };
    let rate = |count: fn(&Sample) -> u64| {
        let pairs = timeline.iter().zip(timeline.iter().skip(1));
        pairs
            .map(|(before, after)| {
                let seconds = (after.at_s - before.at_s).max(1e-3);
                (after.at_s, count(after).saturating_sub(count(before)) as f64 / seconds)
            })
            .collect::<Vec<_>>()
    };
    let plot = |title, unit, lines| {
        Plot { title, x: ("seconds", Scale::Linear), y: (unit, Scale::Linear), lines }.svg()
    };
    let line = |name, points| Line { name, points };
    let mebi = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let memory = [
        line("server, resident", level(|sample| sample.server_bytes as f64)),
        line("generator, resident", level(|sample| sample.generator_bytes as f64)),
        line("kernel, slab and TCP pages", level(|sample| sample.kernel_bytes as f64)),
    ];
    let memory = memory
        .into_iter()
        .map(|Line { name, points }| {
            line(name, points.into_iter().map(|(at, bytes)| (at, mebi(bytes as u64))).collect())
        })
        .collect();
    [
        plot(
            "Connections logged in",
            "",
            vec![line("logged in", level(|sample| sample.logged_in as f64))],
        ),
        plot("Logins a second", "/s", vec![line("logins", rate(|sample| sample.logins))]),
        plot(
            "Messages received a second",
            "/s",
            vec![line("messages", rate(|sample| sample.messages))],
        ),
        plot("Memory", "MiB", memory),
    ]
    .concat()
}
