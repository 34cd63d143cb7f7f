//! The command line: text → [`Args`], nothing else.
//!
//! `main` does what [`Mode`] says, and exits with the codes below.
//!
//! # Why flags and not subcommands
//! Nearly every call serves. So a container's entry point is the bare program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, FromArgMatches, Parser};

use crate::config::{KeyPath, Override, parse_duration};

/// It worked.
pub const EXIT_OK: u8 = 0;
/// It failed.
pub const EXIT_FAILED: u8 = 1;
/// The command line is wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;
/// The configuration or the key ring is wrong (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// What the operator asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Args {
    /// Configuration files, in order.
    pub config: Vec<PathBuf>,
    /// What to do.
    pub mode: Mode,
}

/// What to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Load everything, and report every mistake.
    Check {
        /// Also contact identity providers, upstreams and the store.
        online: bool,
    },
    /// Everything in one process, on loopback.
    #[cfg(feature = "demo")]
    Demo,
    /// Print the annotated example.
    ExampleConfig,
    /// Describe the cookies that stdin has.
    ExplainCookie,
    /// Ask the running process whether it is alive.
    Health,
    /// Print the effective configuration.
    PrintConfig,
    /// Add and drop keys.
    RotateKeys(RotateKeys),
    /// Serve.
    Serve,
}

/// The options of `--rotate-keys`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RotateKeys {
    /// The directory; default: `keys.dir`.
    pub keys: Option<PathBuf>,
    /// The new key's algorithm, spelled as a key file spells it.
    pub alg: Option<String>,
    /// How long until the new key becomes active; `--now` is zero. Default: `keys.activation_delay`.
    pub activate_in: Option<Duration>,
    /// How long a key's successor must have been active before the key is dropped; default: `keys.retire_after()`.
    pub retire_after: Option<Duration>,
    /// Delete this key, which ends its sessions.
    pub drop: Option<String>,
    /// Add a key even while another is not active yet.
    pub force: bool,
}

/// Text for the operator instead of [`Args`]: help, the version, or what is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Usage {
    /// What to print.
    pub text: String,
    /// [`EXIT_OK`] if the operator asked for the text, which then goes to stdout; else [`EXIT_USAGE`].
    pub exit_code: u8,
}

impl RotateKeys {
    /// The directory, as a layer on top of the configuration.
    pub fn overrides(&self) -> Vec<Override> {
        let keys = self.keys.as_ref().map(|dir| {
            let path = KeyPath::of(["keys", "dir"]);
            (path, "--keys".to_owned(), dir.display().to_string())
        });
        keys.into_iter().collect()
    }
}

/// Reads the command line; `args` begins with the program's name.
pub fn parse<A>(args: impl IntoIterator<Item = A>) -> Result<Args, Usage>
where
    A: Into<OsString> + Clone,
{
    let flags = Flags::command()
        .try_get_matches_from(args)
        .and_then(|matches| Flags::from_arg_matches(&matches))
        .and_then(Flags::belong_together)
        .map_err(|error| Usage {
            text: error.to_string(),
            exit_code: match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => EXIT_OK,
                _ => EXIT_USAGE,
            },
        })?;
    Ok(Args {
        mode: flags.mode(),
        config: flags.config,
    })
}

/// Keeps the tokens of a single-page app out of the browser: logs users in with OpenID Connect, seals their tokens into
/// cookies, and calls the APIs with them.
#[derive(Debug, Parser)]
#[expect(
    clippy::doc_markdown,
    clippy::struct_excessive_bools,
    reason = "the fields are the flags, and their comments are the help"
)]
#[command(name = "sealgate", version, max_term_width = 100)]
#[command(group = ArgGroup::new("mode").multiple(false))]
#[command(
    after_help = "Without a mode, sealgate serves. Exit codes: 0 ok, 1 failed, 64 wrong usage, 78 configuration error."
)]
struct Flags {
    /// Configuration file; may be repeated, later files win [default: SEALGATE_CONFIG, separated by ':']
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Vec<PathBuf>,

    /// Runs an identity provider, an API, a single-page app and the BFF in one process; prints the URL to open
    #[cfg(feature = "demo")]
    #[arg(long, group = "mode", conflicts_with = "config")]
    demo: bool,

    /// Adds the next key, drops keys that no session can need any more, prints the key ring
    #[arg(long, group = "mode")]
    rotate_keys: bool,

    /// Loads everything, and reports every mistake at once
    #[arg(long, group = "mode")]
    check: bool,

    /// With --check: also contacts the identity providers, the upstreams and the store
    #[arg(long, requires = "check")]
    online: bool,

    /// Prints the effective configuration, each value with its origin; never shows secrets
    #[arg(long, group = "mode")]
    print_config: bool,

    /// Prints an annotated, complete configuration
    #[arg(long, group = "mode")]
    example_config: bool,

    /// Reads a Cookie header from stdin, opens it with the key ring, prints age and size of its parts, never their content
    #[arg(long, group = "mode")]
    explain_cookie: bool,

    /// Asks the running process whether it is alive: exit code 0 or 1
    #[arg(long, group = "mode")]
    health: bool,

    /// With --rotate-keys: the directory of the key ring [default: keys.dir of the configuration]
    #[arg(long, value_name = "DIR", requires = "rotate_keys")]
    keys: Option<PathBuf>,

    /// With --rotate-keys: the new key's algorithm
    #[arg(long, value_name = "NAME", requires = "rotate_keys",
          value_parser = ["XAES-256-GCM", "XChaCha20-Poly1305"])]
    alg: Option<String>,

    /// With --rotate-keys: how long until the new key becomes active [default: keys.activation_delay]
    #[arg(long, value_name = "DURATION", requires = "rotate_keys", value_parser = duration)]
    activate_in: Option<Duration>,

    /// With --rotate-keys: activates the new key at once
    #[arg(long, requires = "rotate_keys", conflicts_with = "activate_in")]
    now: bool,

    /// With --rotate-keys: drops keys whose successor has been active longer than this [default: keys.retire_after]
    #[arg(long, value_name = "DURATION", requires = "rotate_keys", value_parser = duration)]
    retire_after: Option<Duration>,

    /// With --rotate-keys: deletes this key now; its sessions end when the processes reload
    #[arg(long, value_name = "KID", requires = "rotate_keys",
          conflicts_with = "activate_in", value_parser = kid)]
    drop: Option<String>,

    /// With --rotate-keys: adds a key even while an earlier new key is not active yet
    #[arg(long, requires = "rotate_keys")]
    force: bool,
}

impl Flags {
    /// Checks what clap does not: clap drops an option's requirement if that conflicts with another option on the line.
    fn belong_together(self) -> Result<Self, clap::Error> {
        let of_rotation = self.now
            || self.keys.is_some()
            || self.alg.is_some()
            || self.activate_in.is_some()
            || self.retire_after.is_some()
            || self.drop.is_some()
            || self.force;
        let wrong = |text: &str| Err(Self::command().error(ErrorKind::ArgumentConflict, text));
        if of_rotation && !self.rotate_keys {
            wrong(
                "--keys, --alg, --activate-in, --now, --retire-after, --drop and --force belong to --rotate-keys",
            )
        } else if self.online && !self.check {
            wrong("--online belongs to --check")
        } else {
            Ok(self)
        }
    }

    fn mode(&self) -> Mode {
        #[cfg(feature = "demo")]
        if self.demo {
            return Mode::Demo;
        }
        if self.rotate_keys {
            Mode::RotateKeys(RotateKeys {
                keys: self.keys.clone(),
                alg: self.alg.clone(),
                activate_in: if self.now {
                    Some(Duration::ZERO)
                } else {
                    self.activate_in
                },
                retire_after: self.retire_after,
                drop: self.drop.clone(),
                force: self.force,
            })
        } else if self.check {
            Mode::Check {
                online: self.online,
            }
        } else if self.print_config {
            Mode::PrintConfig
        } else if self.example_config {
            Mode::ExampleConfig
        } else if self.explain_cookie {
            Mode::ExplainCookie
        } else if self.health {
            Mode::Health
        } else {
            Mode::Serve
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "write a duration with its unit, such as 90s, 30m or 8h".to_owned())
}

fn kid(text: &str) -> Result<String, String> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 16 && text.bytes().all(hex) {
        Ok(text.to_owned())
    } else {
        Err("a kid is 16 digits of 0-9 and a-f, the name of its file without .toml".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, Usage> {
        parse(std::iter::once("sealgate").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn every_mode_has_its_flag() {
        for (line, mode) in [
            ("", Mode::Serve),
            #[cfg(feature = "demo")]
            ("--demo", Mode::Demo),
            ("--rotate-keys", Mode::RotateKeys(RotateKeys::default())),
            ("--check", Mode::Check { online: false }),
            ("--check --online", Mode::Check { online: true }),
            ("--print-config", Mode::PrintConfig),
            ("--example-config", Mode::ExampleConfig),
            ("--explain-cookie", Mode::ExplainCookie),
            ("--health", Mode::Health),
        ] {
            assert_eq!(parsed(line).map(|args| args.mode), Ok(mode), "{line}");
        }
        let args = parsed("-c a.toml --check --config b.toml").unwrap();
        assert_eq!(args.config, ["a.toml", "b.toml"].map(PathBuf::from));
    }

    #[test]
    fn rotation_takes_its_options() {
        let line = "--rotate-keys --keys k --alg XAES-256-GCM --activate-in 1h30m --retire-after 2d --force";
        let expect = RotateKeys {
            keys: Some("k".into()),
            alg: Some("XAES-256-GCM".to_owned()),
            activate_in: Some(Duration::from_mins(90)),
            retire_after: Some(Duration::from_hours(48)),
            drop: None,
            force: true,
        };
        assert_eq!(expect.overrides().len(), 1);
        assert_eq!(
            parsed(line).map(|args| args.mode),
            Ok(Mode::RotateKeys(expect))
        );
        let Mode::RotateKeys(now) = parsed("--rotate-keys --now").unwrap().mode else {
            panic!("another mode");
        };
        assert_eq!(now.activate_in, Some(Duration::ZERO));
        let Mode::RotateKeys(drop) = parsed("--rotate-keys --drop 00112233aabbccdd")
            .unwrap()
            .mode
        else {
            panic!("another mode");
        };
        assert_eq!(drop.drop.as_deref(), Some("00112233aabbccdd"));
    }

    #[test]
    fn wrong_usage_exits_with_64_and_help_with_0() {
        for line in [
            "--bogus",
            "serve",
            "-c",
            "--online",
            "--check --print-config",
            "--keys k",
            "--now",
            "--check --now",
            "--check --force",
            "--health --online",
            "--explain-cookie --check",
            "--explain-cookie cookie",
            "--rotate-keys --alg AES",
            "--rotate-keys --alg xaes-256-gcm",
            "--rotate-keys --activate-in soon",
            "--rotate-keys --activate-in 5",
            "--rotate-keys --now --activate-in 5m",
            "--rotate-keys --drop ../../etc/passwd",
            "--rotate-keys --drop 00112233AABBCCDD",
        ] {
            let usage = parsed(line).unwrap_err();
            assert_eq!(usage.exit_code, EXIT_USAGE, "{line}");
            assert!(usage.text.contains("--help"), "{line}: {}", usage.text);
        }
        for line in ["--help", "-h", "--version", "-V"] {
            assert_eq!(parsed(line).unwrap_err().exit_code, EXIT_OK, "{line}");
        }
        let version = parsed("--version").unwrap_err().text;
        assert_eq!(
            version.trim(),
            concat!("sealgate ", env!("CARGO_PKG_VERSION"))
        );
    }
}
