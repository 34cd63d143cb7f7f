//! Who owns the key files, and whose they should be.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a file of this owner counts as a stranger's. Root can change every file anyway.
pub(super) const fn is_foreign(owner: u32, ourselves: u32) -> bool {
    owner != 0 && owner != ourselves
}

/// The user we run as.
pub(super) fn ourselves() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The user for whom a rotation acts. Root acts for the owner of the directory, who has to read the new key.
pub(super) fn principal(dir: &Path) -> u32 {
    match ourselves() {
        0 => fs::metadata(dir).map_or(0, |metadata| metadata.uid()),
        ourselves => ourselves,
    }
}

/// Gives a new file to the owner of the directory, if root has made it for them.
///
/// A container may have taken that right from root. Then the file stays root's, because an emergency must not fail for it.
pub(super) fn hand_over(file: &File, dir: &Path) {
    if let Ok(metadata) = fs::metadata(dir)
        && ourselves() == 0
        && metadata.uid() != 0
    {
        let _ = std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()));
    }
}
