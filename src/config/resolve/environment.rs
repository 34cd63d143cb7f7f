//! Variables of the environment: names that nearly name a key, `RUST_LOG`, and proxies.

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

use super::resolver::Resolver;
use crate::config::variable;
use crate::frontend::Frontend;
use crate::oidc::{Egress, Unusable};
use crate::telemetry::LogFilter;

/// Warns of variables whose names nearly name a key: sealgate does not read them.
pub(super) fn check_names(resolver: &mut Resolver<'_>) {
    let written = resolver.written;
    for name in written.environment.keys() {
        if resolver.secret_variables.contains(name) {
            continue;
        }
        if let Some(meant) = variable::meant_by(name, &written.values) {
            resolver.warnings.push(format!(
                "{}: sealgate does not read this variable: did you mean {}? Two underscores separate keys",
                name.escape_debug(),
                meant.escape_debug()
            ));
        }
    }
}

/// The log filter that `RUST_LOG` sets.
pub(super) fn log_filter(resolver: &mut Resolver<'_>) -> LogFilter {
    let said = resolver.written.environment.get("RUST_LOG");
    let filter = LogFilter::parse(&said.map(|text| text.to_string_lossy()).unwrap_or_default());
    let complaints = filter.complaints().iter();
    resolver
        .warnings
        .extend(complaints.map(|text| format!("RUST_LOG: {text}")));
    filter
}

/// The proxies for calls to identity providers. A variable that none of them is called through may say what it likes: it is there
/// for other programs.
pub(super) fn egress(resolver: &mut Resolver<'_>, frontends: &[Arc<Frontend>]) -> Egress {
    let variables = &resolver.written.environment;
    // A value that is not UTF-8 is no URL either.
    let egress = Egress::read(|name| Some(variables.get(name)?.to_string_lossy().into_owned()));
    let issuers = frontends
        .iter()
        .map(|frontend| frontend.provider.settings().issuer.as_str());
    let issuers = issuers.filter_map(|issuer| Url::parse(issuer).ok());
    let unusable = issuers.filter_map(|issuer| egress.proxy_for(&issuer).err());
    // One mistake, however many frontends meet it.
    let unusable: BTreeSet<_> = unusable.map(|Unusable(name)| name).collect();
    for name in unusable {
        resolver.wrong_variable(
            name,
            "it is not the URL of an HTTP proxy, and calls to identity providers must not go another way",
            "write http://proxy.example.com:3128, or unset it to go without a proxy",
        );
    }
    egress
}
