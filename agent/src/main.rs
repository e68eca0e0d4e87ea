//! Arguments, log, exit code.

use std::process::ExitCode;

use offspot_agent::arguments::{Arguments, Command, USAGE};
use offspot_agent::host::Host;
use offspot_agent::interrupt::Interrupt;
use offspot_agent::lock::Busy;
use offspot_agent::{boot, commands, report};

/// A call that cannot be understood (sysexits.h, EX_USAGE).
const USAGE_ERROR: u8 = 64;
/// Another run holds the lock (sysexits.h, EX_TEMPFAIL).
const BUSY: u8 = 75;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return USAGE_ERROR.into();
        }
    };
    // One thread for sockets and timers; what blocks has threads of its own, as many as are needed.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(obey(&arguments));
            // An interrupted step may still block on the card; nobody waits for it.
            runtime.shutdown_background();
            code.into()
        }
        Err(error) => {
            eprintln!("starting: {error}");
            1.into()
        }
    }
}

async fn obey(arguments: &Arguments) -> u8 {
    let host = Host::new(&arguments.root);
    match &arguments.command {
        Command::Run => run(&host, arguments).await,
        Command::Watch => watch(&host, arguments).await,
        Command::Plan => commands::plan(&host, arguments).await,
        Command::Status => commands::status(&host, arguments).await,
        Command::Check(file) => commands::check(file, arguments.json),
        Command::Schema => commands::schema(),
        Command::Help => {
            commands::say(USAGE);
            0
        }
        Command::Version => {
            commands::say(concat!("offspot-agent ", env!("CARGO_PKG_VERSION"), "\n"));
            0
        }
    }
}

async fn run(host: &Host, arguments: &Arguments) -> u8 {
    report::journal::start();
    match boot::run(host, arguments, &mut Interrupt::new()).await {
        Ok(code) => code,
        Err(Busy::Held(pid)) => {
            eprintln!("another run is at work, pid {pid}");
            BUSY
        }
        Err(Busy::Failed(error)) => {
            eprintln!("starting: {error}");
            1
        }
    }
}

/// Ends at once on a signal: a repair that was cut off is completed by the next one, or by the next run.
async fn watch(host: &Host, arguments: &Arguments) -> u8 {
    report::journal::start();
    let mut interrupt = Interrupt::new();
    tokio::select! {
        code = offspot_agent::watch::run(host, arguments) => code,
        () = interrupt.comes() => 0,
    }
}
