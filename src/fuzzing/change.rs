//! What a fuzzer makes of something genuine.

/// The genuine bytes with others in the place of some: two bytes of position, big-endian, then what is written there.
pub(super) fn changed(genuine: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let (at, change) = data.split_first_chunk()?;
    let mut changed = genuine.to_vec();
    let at = usize::from(u16::from_be_bytes(*at)) % changed.len();
    for (to, from) in changed.iter_mut().skip(at).zip(change) {
        *to = *from;
    }
    Some(changed)
}
