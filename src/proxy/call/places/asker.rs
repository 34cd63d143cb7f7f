//! Who asks for a place.

use crate::frontend::Spender;

/// Who asks for a place, as far as places are shared out by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy::call) struct Asker {
    /// The client's address.
    pub(in crate::proxy::call) address: Spender,
    /// Whether the user's token goes along. Without a session nobody can ask so.
    pub(in crate::proxy::call) is_signed_in: bool,
}
