//! Bounds on one read of a body. Its reader sees payload only: trailers without end, chunks that are all extension, and TLS records that drip
//! would hold it for ever. The bounds are of the thread that reads, for the connection below is the library's and knows nothing of its reader.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Bytes that may come in a read that brings no payload: a connection's buffer, and many TLS records.
const BARREN: usize = 1 << 20;

/// What is left to a read.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    until: Instant,
    bytes: usize,
}

thread_local! {
    static ALLOWANCE: Cell<Option<Allowance>> = const { Cell::new(None) };
}

/// Reads once, for so long at most.
pub fn bounded<T>(longest: Duration, read: impl FnOnce() -> T) -> T {
    ALLOWANCE.set(Some(Allowance { until: Instant::now() + longest, bytes: BARREN }));
    let result = read();
    ALLOWANCE.set(None);
    result
}

/// Puts the bounds on connections.
#[derive(Debug)]
pub struct Patience;

impl<In: Transport> Connector<In> for Patience {
    type Out = Bounded<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Bounded))
    }
}

/// A connection whose reads are bounded.
#[derive(Debug)]
pub struct Bounded<In>(In);

impl<In: Transport> Transport for Bounded<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let Some(allowance) = ALLOWANCE.get() else { return self.0.await_input(timeout) };
        if Instant::now() > allowance.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it comes too slowly").into());
        }
        let before = self.0.buffers().input().len();
        let came = self.0.await_input(timeout)?;
        let bytes = self.0.buffers().input().len().saturating_sub(before);
        let Some(bytes) = allowance.bytes.checked_sub(bytes) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server sends what is none of the file").into());
        };
        ALLOWANCE.set(Some(Allowance { bytes, ..allowance }));
        Ok(came)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
