//! What the environment says of traces.
//!
//! The SDK and the exporter read some of the variables themselves, and are silent about what they do not understand. Here
//! every one that has a meaning is looked at, so that a mistake is told.
//!
//! # Invariants
//! - A message names the variable, and never quotes its value.
//! - Without an endpoint nothing is read.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::BadEnvironment;

const ENDPOINT: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
const TIMEOUT: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];
const PROTOCOL: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const COMPRESSION: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];
const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_QUEUE: usize = 2048;
/// More spans would take more memory than traces are worth.
const MOST_QUEUE: usize = 1 << 20;

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Where spans go, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Settings {
    /// With the path of traces.
    pub(super) endpoint: String,
    pub(super) timeout: Duration,
    pub(super) gzip: bool,
    /// The most spans that wait.
    pub(super) queue: usize,
}

impl Settings {
    /// The collector for log lines: host and port.
    pub(super) fn collector(&self) -> String {
        let url = Url::parse(&self.endpoint).ok();
        let url = url.as_ref().map(|url| url.authority().to_owned());
        url.unwrap_or_default()
    }
}

/// What was read.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Reading {
    /// `None`: there are no traces.
    pub(super) settings: Option<Settings>,
    pub(super) warnings: Vec<String>,
}

/// What this process was given.
pub(super) fn of_process() -> Result<Reading, BadEnvironment> {
    read(&|name| std::env::var(name).ok())
}

fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Reading, BadEnvironment> {
    // An empty variable counts as one that is not set.
    let get = |name: &'static str| {
        let text = variable(name).filter(|text| !text.trim().is_empty())?;
        Some((name, text.trim().to_owned()))
    };
    // What is said of traces counts more than what is said of all signals.
    let first = |[of_traces, of_all]: [&'static str; 2]| get(of_traces).or_else(|| get(of_all));
    let mut reading = Reading::default();
    let warnings = &mut reading.warnings;
    let Some((name, endpoint)) = first(ENDPOINT) else {
        return Ok(reading);
    };
    if let Some((name, text)) = get(DISABLED) {
        match text.to_ascii_lowercase().as_str() {
            "true" => return Ok(reading),
            "false" => {}
            _ => warnings.push(format!(
                "{name}: neither true nor false, and counts as false\n    → write true to have no traces"
            )),
        }
    }
    if let Some((name, text)) = get(EXPORTER) {
        match text.as_str() {
            "otlp" => {}
            "none" => return Ok(reading),
            _ => {
                warnings.push(format!(
                    "{name}: sealgate knows otlp and none only; there are no traces\n    → write otlp, or unset it"
                ));
                return Ok(reading);
            }
        }
    }
    let endpoint = traces_url(name, &endpoint)?;
    if let Some((name, text)) = first(PROTOCOL)
        && text != "http/protobuf"
    {
        warnings.push(format!(
            "{name}: sealgate speaks http/protobuf only, and does so here\n    → write http/protobuf, and see that the endpoint takes it: collectors listen on port 4318 for it, and on 4317 for gRPC"
        ));
    }
    let mut gzip = false;
    if let Some((name, text)) = first(COMPRESSION) {
        gzip = text == "gzip";
        if !gzip && text != "none" {
            warnings.push(format!(
                "{name}: neither gzip nor none; nothing is compressed\n    → write gzip or none"
            ));
        }
    }
    if let Some((name, text)) = first(HEADERS)
        && !text.split(',').all(is_header)
    {
        warnings.push(format!(
            "{name}: a part of it is no header, and is left out\n    → write name=value,name=value, with each value percent-encoded where it has a comma"
        ));
    }
    let timeout = first(TIMEOUT).map_or(DEFAULT_TIMEOUT, |given| timeout(given, warnings));
    let queue = get(QUEUE).map_or(DEFAULT_QUEUE, |given| queue(given, warnings));
    if let Some((name, sampler)) = get(SAMPLER) {
        let argument = get(SAMPLER_ARG).map(|(_, text)| text);
        warnings.extend(sampler_warning(name, &sampler, argument.as_deref()));
    }
    reading.settings = Some(Settings {
        endpoint,
        timeout,
        gzip,
        queue,
    });
    Ok(reading)
}

/// A variable that is set, and its text.
type Given = (&'static str, String);

fn timeout((name, text): Given, warnings: &mut Vec<String>) -> Duration {
    if let Ok(most @ 1_u64..) = text.parse() {
        return Duration::from_millis(most);
    }
    warnings.push(format!(
        "{name}: no number of milliseconds; 10000 is used\n    → write a whole number such as 10000"
    ));
    DEFAULT_TIMEOUT
}

fn queue((name, text): Given, warnings: &mut Vec<String>) -> usize {
    if let Ok(spans @ 1..=MOST_QUEUE) = text.parse() {
        return spans;
    }
    warnings.push(format!(
        "{name}: no number of spans from 1 to {MOST_QUEUE}; {DEFAULT_QUEUE} is used\n    → write a whole number"
    ));
    DEFAULT_QUEUE
}

/// What is wrong with a sampler. The SDK reads it once more.
fn sampler_warning(name: &str, sampler: &str, argument: Option<&str>) -> Option<String> {
    if !SAMPLERS.contains(&sampler) {
        return Some(format!(
            "{name}: an unknown sampler; parentbased_always_on is used\n    → write one of {}",
            SAMPLERS.join(", ")
        ));
    }
    let ratio = argument.and_then(|text| text.parse::<f64>().ok());
    let has_ratio = ratio.is_some_and(|ratio| (0.0..=1.0).contains(&ratio));
    (sampler.ends_with("traceidratio") && !has_ratio).then(|| {
        format!(
            "{SAMPLER_ARG}: not a ratio from 0 to 1, which {name} needs; every trace is sampled\n    → write a number such as 0.1"
        )
    })
}

/// The URL that spans are sent to. What is said of all signals is the place below which each has its path.
fn traces_url(name: &'static str, endpoint: &str) -> Result<String, BadEnvironment> {
    let bad = |what: &str| {
        BadEnvironment(format!(
            "{name}: {what}\n    → write the collector's URL, such as http://collector:4318"
        ))
    };
    let url = Url::parse(endpoint).map_err(|_| bad("not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("not a URL of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(
            "a URL with a user or a password, which belong into OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("a URL with a query or a fragment"));
    }
    let mut text = url.to_string();
    if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
        text.truncate(text.trim_end_matches('/').len());
        text.push_str("/v1/traces");
    }
    Ok(text)
}

/// Whether it is `name=value`, as baggage writes it.
fn is_header(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else {
        return text.trim().is_empty();
    };
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8();
    let is_value = value.is_ok_and(|value| HeaderValue::from_str(&value).is_ok());
    is_value && name.trim().parse::<HeaderName>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Result<Reading, BadEnvironment> {
        read(&|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let reading = given(variables).unwrap();
        assert_eq!(reading.warnings, [""; 0]);
        reading.settings.unwrap()
    }

    const AT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn without_an_endpoint_or_when_they_are_turned_off_there_are_no_traces() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[(SAMPLER, "what"), (PROTOCOL[1], "grpc")],
            &[AT, (DISABLED, "TRUE")],
            &[AT, (EXPORTER, "none")],
        ] {
            assert_eq!(given(variables), Ok(Reading::default()), "{variables:?}");
        }
        let reading = given(&[AT, (EXPORTER, "zipkin")]).unwrap();
        assert_eq!((reading.settings, reading.warnings.len()), (None, 1));
    }

    #[test]
    fn the_endpoint_of_all_signals_gets_the_path_of_traces() {
        for (of_all, of_traces, expect) in [
            ("http://c:4318", "", "http://c:4318/v1/traces"),
            ("https://c/otlp/", "", "https://c/otlp/v1/traces"),
            ("http://c:4318", "https://t/x", "https://t/x"),
            ("", "http://t:9", "http://t:9/"),
        ] {
            let found = settings(&[(ENDPOINT[1], of_all), (ENDPOINT[0], of_traces)]);
            assert_eq!(found.endpoint, expect);
        }
        let found = settings(&[(ENDPOINT[1], "https://c.example:9/x")]);
        assert_eq!(found.collector(), "c.example:9");
    }

    #[test]
    fn an_endpoint_that_cannot_be_called_is_a_mistake_that_is_not_quoted() {
        for bad in [
            "collector-canary:4318",
            "unix:///canary",
            "ftp://canary/",
            "http://user:canary@c",
            "http://c/?key=canary",
            "canary",
        ] {
            let mistake = given(&[(ENDPOINT[0], bad)]).unwrap_err().to_string();
            assert!(mistake.starts_with(ENDPOINT[0]), "{mistake}");
            assert!(!mistake.contains("canary"), "{mistake}");
            assert!(mistake.contains("→"), "{mistake}");
        }
    }

    #[test]
    fn what_is_said_of_traces_counts_more() {
        let found = settings(&[
            AT,
            (TIMEOUT[1], "1500"),
            (COMPRESSION[1], "gzip"),
            (COMPRESSION[0], "none"),
            (QUEUE, "10"),
            (SAMPLER, "traceidratio"),
            (SAMPLER_ARG, "0.25"),
            (HEADERS[1], "authorization=Basic%20YQ==,x-tenant=a%2Cb,"),
            (PROTOCOL[0], "http/protobuf"),
            (DISABLED, "false"),
        ]);
        assert_eq!(found.timeout, Duration::from_millis(1500));
        assert_eq!((found.gzip, found.queue), (false, 10));
        let found = settings(&[AT, (TIMEOUT[1], "1500"), (TIMEOUT[0], "70")]);
        assert_eq!(found.timeout, Duration::from_millis(70));
    }

    #[test]
    fn what_has_no_meaning_is_told_and_not_quoted() {
        for (name, bad) in [
            (DISABLED, "canary"),
            (PROTOCOL[1], "grpc-canary"),
            (COMPRESSION[1], "canary"),
            (HEADERS[1], "canary"),
            (HEADERS[0], "authorization=a%0Acanary"),
            (TIMEOUT[1], "10s canary"),
            (QUEUE, "0"),
            (SAMPLER, "canary"),
            (SAMPLER, "traceidratio"),
            (SAMPLER, "parentbased_traceidratio"),
        ] {
            let variables = [AT, (name, bad), (SAMPLER_ARG, "1.5")];
            let reading = given(&variables).unwrap();
            assert!(reading.settings.is_some(), "{name}");
            let [warning] = &reading.warnings[..] else {
                panic!("{name}: {:?}", reading.warnings);
            };
            assert!(warning.contains(name), "{warning}");
            assert!(warning.contains("→"), "{warning}");
            assert!(!warning.contains("canary"), "{warning}");
        }
    }
}
