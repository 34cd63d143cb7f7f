//! A value stays in its place, and an answer has one meaning.

use crate::compose::probe;

/// Reads `data` as one of three things, by its first byte. Whether it was accepted.
///
/// `t`: the path of a part, and on each further line a value for its next placeholder. `p`: a JSON pointer, and behind the
/// first line break a document. `m`: documents between record separators (U+001E), which are put together.
///
/// # Panics
/// If a value leaves its place in the URL, as a URL library reads it; or if `serde_json` reads a document, what a pointer
/// finds in it, or the whole answer otherwise.
pub fn compose(data: &[u8]) -> bool {
    match data.split_first() {
        Some((b't', text)) => {
            let mut lines = std::str::from_utf8(text).unwrap_or_default().split('\n');
            let template = lines.next().unwrap_or_default();
            probe::template(template, &lines.collect::<Vec<_>>())
        }
        Some((b'p', text)) => {
            let mut halves = text.splitn(2, |byte| *byte == b'\n');
            let pointer = std::str::from_utf8(halves.next().unwrap_or_default());
            let document = halves.next().unwrap_or_default();
            pointer.is_ok_and(|pointer| probe::pointer(pointer, document))
        }
        Some((b'm', all)) => probe::answers(all.split(|byte| *byte == 0x1e)),
        _ => false,
    }
}
