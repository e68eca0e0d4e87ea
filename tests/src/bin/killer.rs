//! `killer K PROGRAM ARGUMENT…`: runs the program and kills it, with all it has started, on entering the K-th call that changes
//! something, counted over all its threads and children together. Exit code 137 where it was killed, else the program's own.
//!
//! (strace counts each thread for itself, so it cannot reach the k-th call of a thread whose elder has made as many.)

use std::collections::HashSet;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Whatever changes a file, a filesystem, a mount, a table or the engine.
const CALLS: [c_long; 27] = [
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_copy_file_range,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_ioctl,
    libc::SYS_execve,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (when, command) = arguments.split_first().expect("killer K PROGRAM ARGUMENT…");
    match trace(command, when.parse().expect("K is a number")) {
        Ok(Some(code)) => ExitCode::from(code),
        Ok(None) => ExitCode::from(137),
        Err(error) => {
            eprintln!("killer: {error}");
            ExitCode::from(125)
        }
    }
}

/// The program's exit code, or `None` where it was killed. Returning ends whatever is still traced (`EXITKILL`).
fn trace(command: &[String], when: usize) -> nix::Result<Option<u8>> {
    // It stops itself, so that nothing happens before it is traced.
    let child = Command::new("sh").args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).args(command).spawn();
    let first = Pid::from_raw(child.expect("sh").id() as i32);
    waitpid(first, Some(WaitPidFlag::WUNTRACED))?;
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(first, options)?;
    ptrace::interrupt(first)?;
    kill(first, Signal::SIGCONT)?;
    let (mut seen, mut inside) = (0, HashSet::new());
    loop {
        let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(pid, code) if pid == first => return Ok(Some(code as u8)),
            WaitStatus::Signaled(pid, signal, _) if pid == first => return Ok(Some(128 + signal as u8)),
            WaitStatus::PtraceSyscall(pid) => {
                // Entry and exit of a call come in turn, for each thread.
                if !inside.remove(&pid) {
                    inside.insert(pid);
                    seen += usize::from(number(pid).is_some_and(|number| CALLS.contains(&number)));
                    if seen == when {
                        return Ok(None);
                    }
                }
                (pid, None)
            }
            // An exec is told inside the call, whose exit still comes.
            WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            WaitStatus::Stopped(pid, signal) => (pid, (signal != Signal::SIGTRAP).then_some(signal)),
            _ => continue,
        };
        match ptrace::syscall(pid, signal) {
            // It was killed meanwhile, and its end comes next.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Number of the call that a stopped thread is entering.
fn number(pid: Pid) -> Option<c_long> {
    ptrace::getregs(pid).ok().map(|registers| registers.orig_rax as c_long)
}
