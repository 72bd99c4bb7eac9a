//! What processes have worked, from `/proc`.

use std::fs;
use std::time::Duration;

/// Fields of `/proc/PID/stat` after the name, which may hold anything: parent, and ticks in user and kernel mode.
const PARENT: usize = 1;
const TICKS: [usize; 2] = [11, 12];

/// CPU time of a process and its children, threads and all; what has ended meanwhile is not in it.
pub(super) fn cpu_time(pid: u32) -> Duration {
    let children = processes().into_iter().filter(|&(_, parent, _)| parent == pid);
    let own = stat(pid).map_or(0, |(_, ticks)| ticks);
    let ticks = own + children.map(|(_, _, ticks)| ticks).sum::<u64>();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// Number, parent, ticks of all.
fn processes() -> Vec<(u32, u32, u64)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| stat(pid).map(|(parent, ticks)| (pid, parent, ticks))).collect()
}

fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = TICKS.map(number);
    Some((u32::try_from(number(PARENT)?).ok()?, ticks[0]? + ticks[1]?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_work_is_seen() {
        let before = cpu_time(std::process::id());
        let mut sum = 0u64;
        while cpu_time(std::process::id()) < before + Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |sum: u64, number| sum.wrapping_mul(31) ^ number);
        }
        assert_ne!(sum, 1);
    }
}
