//! One run at a time: flock(2) on a file in /run, never unlinked, so that a stale file means nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Busy {
    /// Another run holds it; its pid as it wrote it.
    Held(String),
    /// The file cannot be made or locked.
    Failed(io::Error),
}

impl Lock {
    /// Takes the lock in `run` or says at once who holds it.
    pub fn take(run: &Path) -> Result<Lock, Busy> {
        std::fs::create_dir_all(run).map_err(Busy::Failed)?;
        let path = run.join("agent.lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        match Flock::lock(file.map_err(Busy::Failed)?, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                let written = sign(&mut held);
                written.map_err(Busy::Failed).map(|()| Lock { _held: held })
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(Busy::Failed)?;
                Err(Busy::Held(holder.trim().to_owned()))
            }
            Err((_, errno)) => Err(Busy::Failed(errno.into())),
        }
    }
}

/// Whether a run is at work now.
pub fn is_held(run: &Path) -> bool {
    let Ok(file) = File::open(run.join("agent.lock")) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_learns_the_pid_of_the_first_and_a_stale_file_is_no_lock() {
        let run = std::env::temp_dir().join(format!("offspot-lock-{}", std::process::id()));
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("agent.lock"), "999999 of a boot long gone").unwrap();
        let first = Lock::take(&run).expect("a stale file holds nothing");
        let Err(Busy::Held(pid)) = Lock::take(&run) else { panic!("two runs at once") };
        assert_eq!(pid, std::process::id().to_string());
        drop(first);
        Lock::take(&run).expect("free again");
        std::fs::remove_dir_all(run).unwrap();
    }
}
