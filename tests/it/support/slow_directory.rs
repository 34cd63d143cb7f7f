//! A directory that does not answer, as on a network mount whose server is gone.
//!
//! A real one would take a kernel module or root. So the program runs with a library in front of the C library, in which
//! opening the directory waits for as long as a file is there.

use std::path::PathBuf;
use std::process::Command;

use super::process::Place;

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

DIR *opendir(const char *name) {
    DIR *(*real)(const char *) = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");
    const char *slow = getenv("SLOW_DIRECTORY"), *flag = getenv("SLOW_WHILE");
    if (slow && flag && strstr(name, slow)) {
        while (access(flag, F_OK) == 0) usleep(5000);
    }
    return real(name);
}
"#;

/// Makes the directory `keys` of a place slow for the programs that it is given to.
pub struct SlowDirectory {
    library: PathBuf,
    flag: PathBuf,
}

impl SlowDirectory {
    pub fn new(place: &Place) -> Self {
        let source = place.write("slow/slow.c", LIBRARY);
        let library = place.path("slow/slow.so");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        assert!(built.expect("the C compiler that ring needs").success());
        let flag = place.path("slow/flag");
        Self { library, flag }
    }

    pub fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("SLOW_DIRECTORY", "keys")
            .env("SLOW_WHILE", &self.flag);
    }

    /// From now on nobody gets an answer.
    pub fn hang(&self) {
        std::fs::write(&self.flag, "").expect("written");
    }

    pub fn answer(&self) {
        std::fs::remove_file(&self.flag).expect("it hangs");
    }
}
