//! One run at a time: flock(2) on a file in /run, never unlinked, so that a stale file means nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

/// Stands behind the pid of a watch.
const WATCH: &str = " watch";
/// Longest that a run waits for a watch, which holds the lock while it brings services back: longer than that may take.
const PATIENCE: Duration = Duration::from_secs(330);
/// And for one that looks only whether a run is at work.
const GLANCE: Duration = Duration::from_secs(1);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

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
        Lock::signed(run, "")
    }

    /// The same for a watch, which has it for moments: a run waits for it.
    pub fn take_to_watch(run: &Path) -> Result<Lock, Busy> {
        Lock::signed(run, WATCH)
    }

    /// Takes the lock, which a watch gives back before long; says at once if another run holds it.
    pub async fn take_for_run(run: &Path) -> Result<Lock, Busy> {
        let begun = Instant::now();
        loop {
            match Lock::take(run) {
                Err(Busy::Held(holder)) => {
                    let patience = if holder.ends_with(WATCH) { PATIENCE } else { GLANCE };
                    if begun.elapsed() > patience {
                        return Err(Busy::Held(holder));
                    }
                    tokio::time::sleep(LOOK).await;
                }
                taken => return taken,
            }
        }
    }

    fn signed(run: &Path, role: &str) -> Result<Lock, Busy> {
        std::fs::create_dir_all(run).map_err(Busy::Failed)?;
        let path = run.join("agent.lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        match Flock::lock(file.map_err(Busy::Failed)?, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                let written = sign(&mut held, role);
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

fn sign(file: &mut File, role: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}{role}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_waits_for_a_watch_but_not_for_ever() {
        let run = std::env::temp_dir().join(format!("offspot-lock-watch-{}", std::process::id()));
        let watch = Lock::take_to_watch(&run).expect("free");
        let (taken, ()) = tokio::join!(Lock::take_for_run(&run), async {
            tokio::time::sleep(LOOK * 3).await;
            drop(watch);
        });
        let taken = taken.expect("given back");
        assert!(matches!(Lock::take_for_run(&run).await, Err(Busy::Held(_))), "another run is not waited for");
        drop(taken);
        std::fs::remove_dir_all(run).unwrap();
    }

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
