//! The binaries that a suite needs late, built while its tests wait for engines: at the lowest priority, so that no test is slower for it.

use std::process::{Child, Stdio};

use image_skel::card_binary;

use crate::agent_run::{self, target_folder, workspace};
use crate::tool::{self, Doing, Outcome};

/// With this word the suite's program builds, and does nothing else.
pub const WORD: &str = "--build-ahead";

/// Starts to build. What needs a binary asks cargo for it, which waits for this one to be done; an error is told there.
pub fn start() -> Outcome<Child> {
    card_binary::install_missing()?;
    let own = std::env::current_exe().doing("looking for this program")?;
    let mut command = tool::program("setpriv");
    command.args(["--pdeathsig", "KILL", "nice", "-n", "19"]).arg(own).arg(WORD);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().doing("setpriv")
}

/// Builds the agent for the card and the one for the demo.
pub fn build() -> Outcome<i32> {
    card_binary::build(&workspace(), &target_folder()?)?;
    agent_run::build(&workspace())?;
    Ok(0)
}
