//! Variables of the environment that look as if they said something, and do not.

use super::resolver::Resolver;
use crate::config::variable;
use crate::telemetry::LogFilter;

/// Warns of variables whose names nearly name a key: nobody reads them.
pub(super) fn check_names(resolver: &mut Resolver<'_>) {
    let written = resolver.written;
    for name in written.environment.keys() {
        if resolver.secret_variables.contains(name) {
            continue;
        }
        if let Some(meant) = variable::meant_by(name, &written.values) {
            resolver.warnings.push(format!(
                "{}: the variable is not read: did you mean {}? Between keys stand two underscores",
                name.escape_debug(),
                meant.escape_debug()
            ));
        }
    }
}

/// What `RUST_LOG` asks for.
pub(super) fn log_filter(resolver: &mut Resolver<'_>) -> LogFilter {
    let said = resolver.written.environment.get("RUST_LOG");
    let filter = LogFilter::parse(&said.map(|text| text.to_string_lossy()).unwrap_or_default());
    let complaints = filter.complaints().iter();
    resolver
        .warnings
        .extend(complaints.map(|text| format!("RUST_LOG: {text}")));
    filter
}
