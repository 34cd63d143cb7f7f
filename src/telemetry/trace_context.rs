//! The trace that a request belongs to (W3C Trace Context).
//!
//! # Invariants
//! - A trace is continued only from a `traceparent` that is valid as a whole, and `tracestate` only with it (§3.3, §4).
//! - An id is never all zeros (§3.2.2).

/// The length of `00-<trace>-<parent>-<flags>`.
const LENGTH: usize = 55;

/// The longest `tracestate` that is passed on (§3.3.1.5 asks for at least 512 characters).
const LONGEST_STATE: usize = 512;

/// The bit of the flags that says that the caller records the trace (§3.2.2.5.1).
const SAMPLED: u8 = 1;

/// A request's place in a trace. What it calls is told that it is the parent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceContext {
    /// Thirty-two hexadecimal digits.
    trace: [u8; 32],
    /// The request itself: sixteen hexadecimal digits.
    span: [u8; 16],
    /// Who called it.
    parent: Option<[u8; 16]>,
    flags: u8,
    state: Option<Box<str>>,
}

impl TraceContext {
    /// Continues the trace that the headers name, or begins one. `fresh` is random: the ids of a trace and of a span.
    pub fn of(traceparent: Option<&str>, tracestate: Option<&str>, fresh: (u128, u64)) -> Self {
        let mut span = [0; 16];
        write_hex(&fresh.1.max(1).to_be_bytes(), &mut span);
        if let Some((trace, parent, flags)) = traceparent.and_then(read) {
            let state = tracestate.filter(|state| is_state(state)).map(Into::into);
            let parent = Some(parent);
            return Self {
                trace,
                span,
                parent,
                flags,
                state,
            };
        }
        let mut trace = [0; 32];
        write_hex(&fresh.0.max(1).to_be_bytes(), &mut trace);
        Self {
            trace,
            span,
            parent: None,
            flags: 0,
            state: None,
        }
    }

    /// The same place in the trace under the ids that are recorded. The flags are what the sampler has decided, and not what
    /// the caller said.
    #[must_use]
    pub fn recorded(mut self, trace: [u8; 16], span: [u8; 8], is_sampled: bool) -> Self {
        write_hex(&trace, &mut self.trace);
        write_hex(&span, &mut self.span);
        self.flags = if is_sampled { SAMPLED } else { 0 };
        self
    }

    /// The id of the trace, for log lines.
    pub fn trace_id(&self) -> &str {
        text(&self.trace)
    }

    /// The id of the request's own span.
    pub fn span_id(&self) -> &str {
        text(&self.span)
    }

    /// The id of the caller's span.
    pub fn parent_id(&self) -> Option<&str> {
        self.parent.as_ref().map(|parent| text(parent))
    }

    /// Whether the caller records the trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// `traceparent` for what the request calls.
    pub fn traceparent(&self) -> String {
        self.parent_header(self.span_id())
    }

    /// The same for what a span of the request calls.
    pub fn traceparent_of(&self, span: [u8; 8]) -> String {
        let mut digits = [0; 16];
        write_hex(&span, &mut digits);
        self.parent_header(text(&digits))
    }

    fn parent_header(&self, span: &str) -> String {
        // Of the flags of a later version only the one that is known is passed on (§4.3).
        let flags = if self.is_sampled() { "01" } else { "00" };
        ["00-", self.trace_id(), "-", span, "-", flags].concat()
    }

    /// `tracestate` for what the request calls.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The trace, the parent and the flags of a `traceparent`.
fn read(header: &str) -> Option<([u8; 32], [u8; 16], u8)> {
    let bytes = header.as_bytes();
    let (known, more) = bytes.split_at_checked(LENGTH)?;
    let [v1, v2, b'-', rest @ ..] = known else {
        return None;
    };
    let version = hex_byte(*v1, *v2)?;
    // 255 is no version (§3.2.2.1). Version 0 ends here; a later one may have more, behind another hyphen (§4.3).
    if version == 0xff || !more.is_empty() && (version == 0 || more.first() != Some(&b'-')) {
        return None;
    }
    let (trace, rest) = rest.split_first_chunk::<32>()?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<16>()?;
    let [f1, f2] = rest.strip_prefix(b"-")? else {
        return None;
    };
    let flags = hex_byte(*f1, *f2)?;
    (is_id(trace) && is_id(parent)).then_some((*trace, *parent, flags))
}

fn is_id(digits: &[u8]) -> bool {
    digits.iter().all(|digit| nibble(*digit).is_some()) && digits.iter().any(|digit| *digit != b'0')
}

/// Whether it can stand in a header that we write. What is in it is for the systems that wrote it.
fn is_state(text: &str) -> bool {
    let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
    (1..=LONGEST_STATE).contains(&text.len()) && text.bytes().all(is_visible)
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    Some(nibble(high)? << 4 | nibble(low)?)
}

/// Hexadecimal digits are in lower case (§3.2.2).
const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Writes bytes as hexadecimal digits in lower case.
pub(super) fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    };
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
        }
    }
}

fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(parent: &str, state: Option<&str>) -> TraceContext {
        TraceContext::of(Some(parent), state, (7, 8))
    }

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let trace = of(PARENT, Some("vendor=1,other=x"));
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent_id(), Some("00f067aa0ba902b7"));
        assert!(trace.is_sampled());
        let told = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000008-01";
        assert_eq!(trace.traceparent(), told);
        assert_eq!(trace.tracestate(), Some("vendor=1,other=x"));
        let unsampled = of(&PARENT.replace("-01", "-02"), None);
        assert!(!unsampled.is_sampled());
        assert!(unsampled.traceparent().ends_with("-00"));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for later in [
            PARENT.replacen("00", "cc", 1),
            format!("{}-what", PARENT.replacen("00", "cc", 1)),
        ] {
            let trace = of(&later, None);
            assert_eq!(trace.parent_id(), Some("00f067aa0ba902b7"), "{later}");
            assert!(trace.traceparent().starts_with("00-4bf9"), "{later}");
        }
    }

    #[test]
    fn whatever_is_not_valid_begins_a_trace_of_its_own() {
        for invalid in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-x"),
            &format!("{PARENT}0"),
            &PARENT.replacen("00", "ff", 1),
            &format!("{}x", PARENT.replacen("00", "cc", 1)),
            &PARENT.to_uppercase(),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
            &PARENT.replace("4b", "4g"),
            &PARENT.replace("-01", "-0x"),
            "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        ] {
            let trace = of(invalid, Some("vendor=1"));
            assert_eq!(trace.trace_id(), "00000000000000000000000000000007");
            assert_eq!(trace.parent_id(), None, "{invalid}");
            assert_eq!(trace.tracestate(), None, "{invalid}");
        }
    }

    #[test]
    fn a_state_that_no_header_can_carry_is_left_out() {
        let long = "x".repeat(LONGEST_STATE + 1);
        for state in ["", "a\nb", "é=1", &long] {
            assert_eq!(of(PARENT, Some(state)).tracestate(), None, "{state}");
        }
    }

    #[test]
    fn what_is_recorded_has_its_own_ids_and_the_word_of_the_sampler() {
        let trace = of(PARENT, Some("vendor=1")).recorded([0x1a; 16], [0x2b; 8], false);
        let (one, two) = ("1a".repeat(16), "2b".repeat(8));
        assert_eq!(trace.traceparent(), format!("00-{one}-{two}-00"));
        assert_eq!(trace.parent_id(), Some("00f067aa0ba902b7"));
        assert_eq!(trace.tracestate(), Some("vendor=1"));
        let within = trace.traceparent_of([0x3c; 8]);
        assert_eq!(within, format!("00-{one}-{}-00", "3c".repeat(8)));
    }

    #[test]
    fn an_id_is_never_all_zeros() {
        let trace = TraceContext::of(None, None, (0, 0));
        assert_eq!(trace.trace_id(), "00000000000000000000000000000001");
        assert_eq!(trace.span_id(), "0000000000000001");
    }
}
