//! The `violet` binary: parse, dispatch, exit code.
use std::process::ExitCode;

use clap::Parser;
use violet::cli::{self, Cli};

/// A request makes and drops some hundred small values, often on different threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    violet::telemetry::start_logging(&cli.log_filter());
    match cli::run(cli).await {
        Ok(code) => code,
        Err(error) => {
            cli::print_error(&*error);
            ExitCode::FAILURE
        }
    }
}
