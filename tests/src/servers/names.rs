//! A name server that fails as often as it is told, then gives one address for every name.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::tool::{Doing, Outcome};

const NAME: usize = 12;
const SERVFAIL: u8 = 2;
const FOR_ADDRESS: u16 = 1;

/// The name server, on a thread of its own until this process ends.
#[derive(Debug)]
pub struct Names {
    asked: Arc<AtomicUsize>,
}

impl Names {
    /// Answers on this socket: the first `failures` questions with "server failure", and from then on with `address`.
    pub fn on(socket: UdpSocket, address: Ipv4Addr, failures: usize) -> Outcome<Names> {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        socket.local_addr().doing("a name server")?;
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let number = count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&buffer[..length], (number >= failures).then_some(address)) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Names { asked })
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// RFC 1035: the question again, and behind it the address where one is asked for and given.
fn answer(question: &[u8], address: Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let labels = question.get(NAME..)?;
    let name = labels.iter().position(|byte| *byte == 0)? + 1;
    let end = NAME + name + 4;
    let kind = u16::from_be_bytes(question.get(end - 4..end - 2)?.try_into().ok()?);
    let mut answer = question.get(..end)?.to_vec();
    // A response, recursion asked for and to be had.
    (answer[2], answer[3]) = (0x81, 0x80);
    answer[6..NAME].fill(0);
    match address {
        None => answer[3] |= SERVFAIL,
        Some(address) if kind == FOR_ADDRESS => {
            answer[7] = 1;
            // The name of the question, an address, of the internet, for a second, four bytes.
            answer.extend([0xc0, NAME as u8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(address.octets());
        }
        Some(_) => {}
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered() {
        let question =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x04book\x00\x00\x01\x00\x01and an option behind";
        let failed = answer(question, None).unwrap();
        assert_eq!((failed[3] & 15, failed[7], failed.len()), (SERVFAIL, 0, 22));
        let told = answer(question, Some(Ipv4Addr::new(10, 0, 0, 1))).unwrap();
        assert_eq!((told[3] & 15, told[7], &told[told.len() - 4..]), (0, 1, &[10, 0, 0, 1][..]));
        assert_eq!(answer(b"short", None), None);
    }
}
