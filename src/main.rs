//! The program: reads the command line, does what its [`Mode`] says, exits with a code.

mod mode;

use std::io::Write as _;
use std::process::ExitCode;

use mimalloc::MiMalloc;
use sealgate::cli::{self, Mode};

/// A request makes some thirty allocations. This allocator needs less than half of glibc's instructions for them; its version 2 (`v2`)
/// needs fewer than version 3. `no_thp` is for memory: with version 3, an idle process took 3 MiB less.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    prefer_small_pages();
    let args = match cli::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(usage) => {
            let result = if usage.exit_code == cli::EXIT_OK {
                std::io::stdout().write_all(usage.text.as_bytes())
            } else {
                std::io::stderr().write_all(usage.text.as_bytes())
            };
            return ExitCode::from(if result.is_ok() {
                usage.exit_code
            } else {
                cli::EXIT_FAILED
            });
        }
    };
    let files = args.config;
    let done = match args.mode {
        Mode::Check { online } => mode::check(files, online),
        #[cfg(feature = "demo")]
        Mode::Demo => mode::demo(),
        Mode::ExampleConfig => mode::example_config(),
        Mode::ExplainCookie => mode::explain_cookie(files),
        Mode::Health => mode::health(files),
        Mode::PrintConfig => mode::print_config(files),
        Mode::RotateKeys(options) => mode::rotate_keys(files, &options),
        Mode::Serve => mode::serve(files),
    };
    // Repeated lines that were counted, but not reported yet.
    log::logger().flush();
    match done {
        Ok(()) => ExitCode::from(cli::EXIT_OK),
        Err(failure) => {
            // If stderr is closed, there is nowhere left to report it.
            let _ = writeln!(std::io::stderr(), "sealgate: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Some systems give huge pages to every process. This one would take 7 MiB more there, for parts of pages that it never uses. A
/// kernel that does not know this call changes nothing (prctl(2), `PR_SET_THP_DISABLE`).
fn prefer_small_pages() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
