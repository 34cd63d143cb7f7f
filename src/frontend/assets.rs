//! Where the single-page app's own files are.

use std::path::PathBuf;

/// Where the single-page app's files are.
#[derive(Clone, Debug)]
pub struct AssetsSettings {
    /// The directory that is served.
    pub dir: PathBuf,
    /// The file, below `dir`, that answers paths of the app's own router.
    pub fallback: Option<String>,
    /// Headers in place of the default ones; an empty value removes one. Both are known to fit into a header.
    pub headers: Vec<(String, String)>,
}
