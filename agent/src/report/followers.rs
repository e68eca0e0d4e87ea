//! All that reads the status while the story goes on, started together and awaited together.

use std::io;

use offspot_config::settings::StatusOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Context, Status, bar, files, led, live, notify};
use crate::host::Host;
use crate::interrupt::Interrupt;

/// The followers of one boot.
#[derive(Debug)]
pub struct Followers {
    status: watch::Receiver<Status>,
    files: Option<JoinHandle<Option<io::Error>>>,
    others: Vec<JoinHandle<()>>,
}

impl Followers {
    /// Says `WORKING` at once, before any work, and starts to follow. The error is that of the boot partition: the story goes on.
    pub fn start(host: &Host, status: watch::Receiver<Status>, context: &Context) -> (Followers, io::Result<()>) {
        let first = status.borrow().clone();
        let opened = files::Files::open(host).map(|mut files| (files.write(&first, context), files));
        let mut followers = Followers { status, files: None, others: Vec::new() };
        followers.others.push(tokio::spawn(live::follow(host.run(), followers.status.clone(), context.clone())));
        if bar::is_wanted() {
            followers.others.push(tokio::spawn(bar::follow(followers.status.clone(), context.clone())));
        }
        if notify::listens() {
            followers.others.push(tokio::spawn(notify::follow(followers.status.clone())));
        }
        // What failed once is tried again with the next word, and with the verdict.
        let said = opened.and_then(|(written, files)| {
            followers.files = Some(tokio::spawn(files.follow(first, followers.status.clone(), context.clone())));
            written
        });
        (followers, said)
    }

    /// The LED joins once the settings have named it, milliseconds after the start. It tells the verdict for `hold` seconds.
    pub fn add_led(&mut self, host: &Host, options: &StatusOptions, hold: Option<u64>) {
        if options.use_led {
            let (status, hold) = (self.status.clone(), led::hold(host, hold));
            self.others.push(tokio::spawn(led::follow(host.clone(), options.led.clone(), status, hold)));
        }
    }

    /// Waits until all have told the verdict, the LED's time included, which a signal cuts short. The error is that of the boot partition.
    pub async fn finish(self, interrupt: &mut Interrupt) -> io::Result<()> {
        let mut written = Ok(());
        if let Some(files) = self.files {
            match files.await {
                Ok(Some(error)) => written = Err(error),
                Ok(None) => {}
                Err(error) => written = Err(io::Error::other(error)),
            }
        }
        let others = async {
            for other in self.others {
                if let Err(error) = other.await {
                    tracing::warn!("a follower of the status ended early: {error}");
                }
            }
        };
        tokio::select! {
            () = others => {}
            () = interrupt.comes() => {}
        }
        written
    }
}
