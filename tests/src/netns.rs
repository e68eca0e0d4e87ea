//! Two network namespaces, and between them a long bad line: each packet late, some lost, no more than so many bytes a second.
//!
//! Kernels without modules often lack `sch_netem`, so the line is made here: a TUN device in each namespace (socat gives its packets as
//! datagrams), and a thread each way that holds, drops and passes them. Both ends of every connection are the kernel's own TCP.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::tool::{self, Doing, Failure, Outcome, text};

/// The server's address on the line.
pub const SERVER: &str = "10.78.0.1";
/// The client's address on the line.
pub const CLIENT: &str = "10.78.0.2";
const NET: &str = "10.78.0.0/24";
const DEVICE: &str = "line0";
/// Packets that may be under way in one direction; netem's own limit.
const UNDER_WAY: usize = 1000;
const PACKET: usize = 2048;
const PATIENCE: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A network namespace. Dropping it removes it.
#[derive(Debug)]
pub struct Namespace {
    /// What `ip netns` calls it.
    pub name: String,
}

/// What a line is like, both ways alike.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// How long a packet is under way.
    pub delay: Duration,
    /// How many of a thousand packets are lost.
    pub lost: u32,
    /// Bytes a second; none: no limit.
    pub rate: Option<u64>,
}

/// Two namespaces and the line between them. Dropping it removes all of it.
#[derive(Debug)]
pub struct Network {
    /// Where a server stands, as [`SERVER`].
    pub server: Namespace,
    /// Where a client stands, as [`CLIENT`].
    pub client: Namespace,
    ends: Vec<Child>,
    over: Arc<AtomicBool>,
    folder: PathBuf,
}

impl Namespace {
    /// A new one; only its loopback is up.
    pub fn new(purpose: &str) -> Outcome<Namespace> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace { name: format!("offspot-{}-{number}-{purpose}", std::process::id()) };
        tool::run("ip", &["netns", "add", &namespace.name])?;
        tool::run("ip", &["-n", &namespace.name, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Words that run a program in it.
    pub fn words(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(String::from).to_vec()
    }

    /// A listening socket in it, for a server of ours.
    pub fn listen(&self, address: &str, port: u16) -> Outcome<TcpListener> {
        let address = address.to_owned();
        self.inside(move || TcpListener::bind((address.as_str(), port)).doing("listening in a namespace"))
    }

    /// A datagram socket in it.
    pub fn receive(&self, address: &str, port: u16) -> Outcome<UdpSocket> {
        let address = address.to_owned();
        self.inside(move || UdpSocket::bind((address.as_str(), port)).doing("listening in a namespace"))
    }

    /// What runs in it asks this name server.
    pub fn resolves_with(&self, server: &str) -> Outcome<()> {
        fs::create_dir_all(self.etc()).doing("/etc/netns")?;
        // No second question while the first waits, and soon none at all: glibc takes these.
        let text = format!("nameserver {server}\noptions timeout:1 attempts:1\n");
        fs::write(self.etc().join("resolv.conf"), text).doing("/etc/netns")
    }

    /// What `ip netns exec` lays over `/etc`.
    fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }

    /// Runs something in a thread that has entered the namespace: what it opens stays there.
    fn inside<T: Send + 'static>(&self, what: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
        let handle = Path::new("/run/netns").join(&self.name);
        let namespace = fs::File::open(&handle).doing(handle.display())?;
        let entered = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).doing("entering a network namespace")?;
            what()
        });
        entered.join().unwrap_or_else(|_| Err(Failure::new("a thread in a network namespace died")))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = tool::run("ip", &["netns", "del", &self.name]) {
            eprintln!("{error}");
        }
        let _ = fs::remove_dir_all(self.etc());
        // Goes where nobody else has one.
        let _ = fs::remove_dir("/etc/netns");
    }
}

impl Network {
    /// Both namespaces, joined by this line.
    pub fn new(line: Line) -> Outcome<Network> {
        let (server, client) = (Namespace::new("server")?, Namespace::new("client")?);
        let folder = std::env::temp_dir().join(&server.name);
        fs::create_dir_all(&folder).doing(folder.display())?;
        let (over, ends) = (Arc::new(AtomicBool::new(false)), Vec::new());
        let mut network = Network { server, client, ends, over, folder };
        let near = network.end(true, SERVER)?;
        let far = network.end(false, CLIENT)?;
        for (number, (from, to)) in [(&near, &far), (&far, &near)].into_iter().enumerate() {
            network.pass(from, to, line, number as u64)?;
        }
        Ok(network)
    }

    /// How its connections share a line: `cubic`, as most servers do, whatever this machine prefers.
    pub fn congestion(&self, name: &str) -> Outcome<()> {
        // By the route: as a setting a namespace may choose only among those that the machine allows everybody.
        for (namespace, address) in [(&self.server, SERVER), (&self.client, CLIENT)] {
            let route = ["-n", &namespace.name, "route", "replace", NET, "dev", DEVICE, "src", address];
            tool::run("ip", &[&route[..], &["congctl", name]].concat())?;
        }
        Ok(())
    }

    /// A TUN device with this address in a namespace; its packets come to and go from the socket that is given.
    fn end(&mut self, at_server: bool, address: &str) -> Outcome<Arc<End>> {
        let namespace = if at_server { &self.server } else { &self.client };
        let path = |what: &str| self.folder.join(format!("{address}.{what}"));
        let (ours, theirs) = (path("ours"), path("theirs"));
        let socket = UnixDatagram::bind(&ours).doing(ours.display())?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).doing("a socket")?;
        let device = format!("TUN:{address}/24,tun-name={DEVICE},tun-type=tun,iff-no-pi,iff-up");
        let other = format!("UNIX-SENDTO:{},bind={}", text(&ours)?, text(&theirs)?);
        let mut command = tool::program("ip");
        command.args(["netns", "exec", &namespace.name, "setpriv", "--pdeathsig", "KILL", "socat", "-b2048"]);
        command.args([&device, &other]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.ends.push(command.spawn().doing("socat (apt-get install socat)")?);
        let begun = Instant::now();
        while socket.connect(&theirs).is_err() || !is_up(&namespace.name) {
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new(
                    "socat makes no TUN device (apt-get install socat; is there a /dev/net/tun?)",
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Arc::new(End { socket }))
    }

    /// Two threads for one direction: one takes packets in, one gives each out when it is due.
    fn pass(&self, from: &Arc<End>, to: &Arc<End>, line: Line, seed: u64) -> Outcome<()> {
        let (sender, receiver) = sync_channel(UNDER_WAY);
        let (from, to) = (from.clone(), to.clone());
        let (over, begun) = (self.over.clone(), Instant::now());
        std::thread::spawn(move || from.take_in(line, &sender, begun, seed, &over));
        std::thread::spawn(move || to.give_out(&receiver, begun));
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for child in &mut self.ends {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_up(namespace: &str) -> bool {
    tool::run("ip", &["-n", namespace, "-o", "addr", "show", "dev", DEVICE]).is_ok_and(|said| said.contains("inet "))
}

/// One end of the line: what its TUN device sends and gets.
#[derive(Debug)]
struct End {
    socket: UnixDatagram,
}

/// A packet, and when it is due, after the line was made.
type Held = (Duration, Vec<u8>);

impl End {
    fn take_in(&self, line: Line, sender: &SyncSender<Held>, begun: Instant, seed: u64, over: &AtomicBool) {
        let (mut free, mut dice) = (Duration::ZERO, seed);
        let mut buffer = [0; PACKET];
        while !over.load(Ordering::Relaxed) {
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if (dice >> 33) % 1000 < u64::from(line.lost) {
                continue;
            }
            // Behind what is on the wire already, then as long as it takes to be sent, then the way itself.
            let takes = line.rate.map_or(0.0, |rate| length as f64 / rate as f64);
            free = free.max(begun.elapsed()) + Duration::from_secs_f64(takes);
            match sender.try_send((free + line.delay, buffer[..length].to_vec())) {
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    fn give_out(&self, receiver: &Receiver<Held>, begun: Instant) {
        for (due, packet) in receiver {
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            // A packet that the other end cannot take is lost.
            let _ = self.socket.send(&packet);
        }
    }
}
