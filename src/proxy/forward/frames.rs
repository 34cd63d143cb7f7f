//! Where the frames of a WebSocket connection begin and end. Headers are read, payloads are counted.
//!
//! `lasting` follows with it what an upstream sends, so that it puts no frame of ours inside another.
//!
//! # Spec
//! RFC 6455 §5.2 (framing), §5.4 (control frames may stand between the fragments of a message), §5.5.1 (close).

/// Two bytes, an extended length of up to eight, a masking key of four.
const LONGEST_HEADER: usize = 14;

const CLOSE: u8 = 0x8;

/// One direction of a connection, followed from its first byte on.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; LONGEST_HEADER],
    /// How much of the header is there.
    have: usize,
    /// What is left of the payload; `None` before the header is whole.
    left: Option<u64>,
    has_closed: bool,
}

impl Frames {
    /// Whether the next byte begins a frame.
    pub(super) const fn is_between(&self) -> bool {
        self.have == 0
    }

    /// Whether a close frame has begun. Nothing may be sent after it.
    pub(super) const fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows bytes that are sent on.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.pass_frame(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// Follows bytes up to the end of the present frame, and gives how many those are.
    pub(super) fn pass_frame(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while self.left.is_none()
            && let Some((byte, after)) = rest.split_first()
        {
            self.push(*byte);
            rest = after;
        }
        if let Some(left) = self.left {
            let present = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(left);
            let taken = usize::try_from(present).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            self.left = Some(left - present);
            if left == present {
                self.left = None;
                self.have = 0;
            }
        }
        bytes.len() - rest.len()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.header.get_mut(self.have) {
            *place = byte;
        }
        self.have += 1;
        let [first, second, extension @ ..] = self.header;
        let [high, low, ..] = extension;
        let [long @ .., _, _, _, _] = extension;
        let short = second & 0x7f;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        if self.have < 2 || self.have < 2 + extended + mask {
            return;
        }
        self.left = Some(match short {
            126 => u16::from_be_bytes([high, low]).into(),
            127 => u64::from_be_bytes(long),
            _ => short.into(),
        });
        self.has_closed |= first & 0x0f == CLOSE;
    }
}

/// A close frame as a server sends it: final, unmasked.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    let reason = reason.as_bytes().iter().copied().take(123);
    let mut frame = vec![0x80 | CLOSE, 0];
    frame.extend(code.to_be_bytes());
    frame.extend(reason);
    let payload = u8::try_from(frame.len().saturating_sub(2)).unwrap_or_default();
    if let Some(length) = frame.get_mut(1) {
        *length = payload;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, masked: bool, payload: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![opcode];
        match payload {
            0..126 => frame.push(mask | u8::try_from(payload).unwrap()),
            126..65_536 => {
                frame.push(mask | 0x7e);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 0x7f);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0x88; payload + if masked { 4 } else { 0 }]);
        frame
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_the_bytes_are_cut(
            sizes in prop::collection::vec((0usize..3, 0u8..2, any::<bool>()), 1..6),
            cut in 1usize..5000,
        ) {
            // A payload full of 0x88 looks like close frames to whoever loses count.
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for (size, opcode, masked) in sizes {
                let payload = [7, 126, 70_000][size];
                bytes.extend(frame(0x80 | opcode, masked, payload));
                ends.push(bytes.len());
            }
            let (mut whole, mut at) = (Frames::default(), 0);
            for chunk in bytes.chunks(cut) {
                whole.pass(chunk);
                at += chunk.len();
                prop_assert_eq!(whole.is_between(), ends.contains(&at));
            }
            prop_assert!(!whole.has_closed());
            let (mut single, mut at) = (Frames::default(), 0);
            for end in ends {
                while at < end {
                    let last = bytes.len().min(at + cut);
                    at += single.pass_frame(&bytes[at..last]);
                }
                prop_assert_eq!(at, end, "it stops at the end of the frame");
            }
        }
    }

    #[test]
    fn a_close_frame_is_noticed_when_its_header_is_whole() {
        let mut frames = Frames::default();
        frames.pass(&frame(0x81, false, 3));
        frames.pass(&[0x88]);
        assert!(!frames.has_closed() && !frames.is_between());
        frames.pass(&[2, 3]);
        assert!(frames.has_closed() && !frames.is_between());
        frames.pass(&[0xe8]);
        assert!(frames.is_between());
        assert_eq!(close(1008, "over"), b"\x88\x06\x03\xf0over");
        let mut own = Frames::default();
        own.pass(&close(1001, &"x".repeat(500)));
        assert!(own.has_closed() && own.is_between());
    }
}
