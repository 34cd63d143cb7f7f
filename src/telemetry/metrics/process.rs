//! What the operating system knows of the process, under the names that Prometheus' client libraries give it.
//!
//! # Spec
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>; proc(5).

use std::fmt::Write as _;
use std::fs;

use rustix::process::{Resource, getrlimit};

/// Linux counts in hundredths of a second, whatever its clock does.
const TICKS: f64 = 100.0;

/// One metric: name, type, help, value.
type Row = (&'static str, &'static str, &'static str, f64);

/// Lines for `/metrics`; none where there is no `/proc`.
pub(super) fn text() -> String {
    let mut text = String::new();
    for (name, kind, help, value) in rows().into_iter().flatten() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name} {value}"
        );
    }
    text
}

fn rows() -> Option<Vec<Row>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands before, in parentheses, and may hold any character.
    let (_, stat) = stat.rsplit_once(')')?;
    let stat: Vec<&str> = stat.split_whitespace().collect();
    // Numbered as in proc_pid_stat(5), where the first field after the name is the third.
    let field = |number: usize| stat.get(number.checked_sub(3)?)?.parse::<f64>().ok();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let booted_at = fs::read_to_string("/proc/stat").ok()?;
    let booted_at = booted_at
        .lines()
        .find_map(|line| line.strip_prefix("btime "));
    let booted_at: f64 = booted_at?.trim().parse().ok()?;
    // The directory itself is open while it is read.
    let open = fs::read_dir("/proc/self/fd")
        .ok()?
        .count()
        .saturating_sub(1);
    let open = f64::from(u32::try_from(open).ok()?);
    let mut rows = vec![
        (
            "process_cpu_seconds_total",
            "counter",
            "User and system CPU time spent in seconds",
            (field(14)? + field(15)?) / TICKS,
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory in bytes",
            kibibytes("VmRSS:")? * 1024.0,
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory in bytes",
            field(23)?,
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process in Unix time",
            booted_at + field(22)? / TICKS,
        ),
        (
            "process_threads",
            "gauge",
            "Threads of the process",
            field(20)?,
        ),
        ("process_open_fds", "gauge", "Open file descriptors", open),
    ];
    if let Some(most) = getrlimit(Resource::Nofile).current
        && let Ok(most) = u32::try_from(most)
    {
        let help = "Most open file descriptors";
        rows.push(("process_max_fds", "gauge", help, f64::from(most)));
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_described() {
        let rows = rows().unwrap();
        let value = |name: &str| rows.iter().find(|row| row.0 == name).unwrap().3;
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        // From 2020 to 2100.
        assert!((1.58e9..4.1e9).contains(&value("process_start_time_seconds")));
        assert!(value("process_open_fds") > 2.0 && value("process_threads") >= 1.0);
    }
}
