//! What the files of a configuration held at some time, to tell whether they have changed.
//!
//! # Why contents and not times
//! Kubernetes exchanges a link to the directory (`..data`), cert-manager and editors exchange files, and a copy may keep
//! the time of its original. All of them change what is read, and nothing else does.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The states of files, by path. Equal ones mean that nothing has changed. No contents are kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FileStates(BTreeMap<PathBuf, State>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    Directory,
    /// Who may read and write it counts too, and what is in it.
    File(u32, [u8; 32]),
    /// A pipe, for example.
    ReadOnce,
    Unreadable,
}

impl FileStates {
    /// Reads each file. Blocks.
    pub fn of(files: &[PathBuf]) -> Self {
        let state = |path: &PathBuf| (path.clone(), State::of(path));
        Self(files.iter().map(state).collect())
    }

    /// One that cannot be read again.
    pub fn read_once(&self) -> Option<&Path> {
        let mut found = self
            .0
            .iter()
            .filter(|(_, state)| **state == State::ReadOnce);
        found.next().map(|(path, _)| path.as_path())
    }
}

impl State {
    fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Self::Directory,
            Ok(found) if found.is_file() => Self::of_file(path, &found).unwrap_or(Self::Unreadable),
            Ok(_) => Self::ReadOnce,
            Err(_) => Self::Unreadable,
        }
    }

    fn of_file(path: &Path, found: &Metadata) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut digest = Sha256::new();
        // It may be a secret.
        let mut piece = Zeroizing::new([0; 8192]);
        loop {
            let read = file.read(&mut piece[..])?;
            match piece.get(..read) {
                Some(bytes @ [_, ..]) => digest.update(bytes),
                _ => return Ok(Self::File(found.mode(), digest.finalize().into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn every_way_in_which_what_is_read_changes_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("old")).unwrap();
        fs::create_dir(path("new")).unwrap();
        fs::write(path("old/secret"), "one").unwrap();
        fs::write(path("new/secret"), "two").unwrap();
        symlink("old", path("..data")).unwrap();
        symlink("..data/secret", path("secret")).unwrap();
        let files = [path("secret"), path("old"), path("none")];
        let look = || FileStates::of(&files);
        let mut before = look();
        assert_eq!(look(), before);
        let mut assert_changed = |how: &str| {
            let now = look();
            assert_ne!(now, before, "{how}");
            before = now;
            assert_eq!(look(), before, "{how}");
        };
        // Kubernetes
        symlink("new", path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        assert_changed("another directory");
        // An editor, within the same second
        fs::write(path("new/secret"), "ONE").unwrap();
        assert_changed("other contents of the same length");
        fs::set_permissions(path("new/secret"), fs::Permissions::from_mode(0o604)).unwrap();
        assert_changed("other readers");
        fs::remove_file(path("new/secret")).unwrap();
        assert_changed("gone");
        fs::write(path("none"), "").unwrap();
        assert_changed("new");
        fs::write(path("old/other"), "").unwrap();
        assert_eq!(look(), before, "what else is in a directory does not count");
    }

    #[test]
    fn a_pipe_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let states = FileStates::of(std::slice::from_ref(&socket));
        assert_eq!(states.read_once(), Some(&*socket));
        assert_eq!(FileStates::of(&[]).read_once(), None);
    }
}
