//! A file as slow as a card. Reads and writes share one budget, as on the bus of an SD card, which is half duplex.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::board::mounts_below;
use crate::tool::{self, Doing, Failure, Outcome, text};

/// Bytes a second, read and written together: a Pi 4's bus with an ordinary card.
pub const BYTES: u64 = 45_000_000;
/// Operations a second: the official card in a Pi 4.
pub const OPERATIONS: u64 = 1_200;
const PATIENCE: Duration = Duration::from_secs(10);

/// The file as it is served slowly, and who serves it. Dropping it ends that.
#[derive(Debug)]
pub struct Throttled {
    /// Where the slow file is.
    pub file: PathBuf,
    server: Child,
}

impl Throttled {
    /// Why this machine cannot serve a file slowly; nothing where it can.
    pub fn lacking() -> Option<&'static str> {
        if !Path::new("/dev/fuse").exists() {
            return Some("this kernel has no FUSE");
        }
        (!tool::exists("qemu-storage-daemon")).then_some("there is no qemu-storage-daemon (apt-get install qemu-utils)")
    }

    /// Serves `file` slowly at `at`, an empty file outside of every board's folder.
    pub fn serve(file: &Path, at: &Path) -> Outcome<Throttled> {
        File::create(at).doing(at.display())?;
        let (limits, node) = (
            format!("throttle-group,id=card,limits.bps-total={BYTES},limits.iops-total={OPERATIONS}"),
            format!("driver=file,node-name=file,filename={},cache.direct=on,aio=threads,discard=unmap", text(file)?),
        );
        let export = format!("type=fuse,id=export,node-name=slow,mountpoint={},writable=on", text(at)?);
        let mut command = tool::program("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-storage-daemon", "--object", &limits, "--blockdev", &node]);
        command.args([
            "--blockdev",
            "driver=throttle,node-name=slow,throttle-group=card,file=file",
            "--export",
            &export,
        ]);
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().doing("qemu-storage-daemon")?;
        let mut throttled = Throttled { file: at.to_owned(), server };
        throttled.wait()?;
        Ok(throttled)
    }

    fn wait(&mut self) -> Outcome<()> {
        let begun = Instant::now();
        while mounts_below(&self.file).is_empty() {
            if let Some(status) = self.server.try_wait().doing("qemu-storage-daemon")? {
                return Err(Failure::new(format!("qemu-storage-daemon: {status}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new("qemu-storage-daemon serves nothing"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        let _ = tool::run("umount", &[&self.file.to_string_lossy()]);
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_file(&self.file);
    }
}
