//! `OpenMetrics` → the Prometheus text format.
//!
//! # Why the output is rewritten
//! The client library writes the `OpenMetrics` format. It declares counters without `_total`. Readers of the Prometheus
//! text format, which is older and more common, do not join such a declaration with its samples.

use std::fmt::Write as _;

/// `HELP` and `TYPE` of a counter get the name of its samples.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
            continue;
        }
        let declared = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '));
        let written = match declared {
            None if line == "# EOF" => Ok(()),
            None => match line.split_once("{} ") {
                // A family without labels.
                Some((name, value)) if !name.contains('{') => writeln!(out, "{name} {value}"),
                _ => writeln!(out, "{line}"),
            },
            Some((name, kind)) => {
                let total = if kind == "counter" { "_total" } else { "" };
                let text = help.take().map_or("", |(_, text)| text);
                writeln!(
                    out,
                    "# HELP {name}{total} {text}\n# TYPE {name}{total} {kind}"
                )
            }
        };
        // Writing to a string cannot fail.
        let _ = written;
    }
    out
}
