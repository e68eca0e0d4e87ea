//! Asks a proxy for what is not encrypted. A tunnel, as for https, would do too, but many proxies dig none to other ports than 443.

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, Proxy, ProxyProtocol};
use url::{Position, Url};

use super::address;

/// A request to a proxy.
pub struct Forward {
    /// The proxy, and where its path would stand, all of the URL that is wanted.
    pub url: String,
    /// `Host`: that of what is wanted.
    pub host: String,
    /// `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// What to send to `proxy` for `url`; none if that is no URL.
pub fn forward(proxy: &Proxy, url: &str) -> Option<Forward> {
    let mut wanted = Url::parse(url).ok()?;
    wanted.set_fragment(None);
    let scheme = if proxy.protocol() == ProxyProtocol::Https { "https" } else { "http" };
    let name = proxy.username().or(proxy.password().map(|_| ""));
    Some(Forward {
        url: format!("{scheme}://{}:{}/{wanted}", proxy.host(), proxy.port()),
        host: wanted[Position::BeforeHost..Position::AfterPort].to_owned(),
        authorization: name.map(|name| address::basic(name, proxy.password().unwrap_or_default())),
    })
}

/// Takes the slash from the front of every target, so that a URL in the place of a path is sent as RFC 9112, 3.2.2 wants it: what
/// writes the requests knows paths only.
#[derive(Debug)]
pub struct AbsoluteForm;

impl<In: Transport> Connector<In> for AbsoluteForm {
    type Out = Absolute<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Absolute))
    }
}

/// A connection to a proxy.
#[derive(Debug)]
pub struct Absolute<In>(In);

const SLASHED: &[u8] = b"GET /http://";
const METHOD: usize = b"GET ".len();

impl<In: Transport> Transport for Absolute<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, mut amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = self.0.buffers().output();
        if output.get(..amount).is_some_and(|output| output.starts_with(SLASHED)) {
            output.copy_within(METHOD + 1..amount, METHOD);
            amount -= 1;
        }
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_url_stands_in_the_place_of_a_path() {
        let of = |proxy: &str, url: &str| {
            let forward = forward(&Proxy::new(proxy).unwrap(), url).unwrap();
            (forward.url, forward.host, forward.authorization)
        };
        let plain = of("proxy.lan:3128", "http://host/a?b#c");
        assert_eq!(plain, ("http://proxy.lan:3128/http://host/a?b".into(), "host".into(), None));
        let safe = of("https://me:p%40ss@[::1]:8443", "http://host:81/a b");
        let url = "https://[::1]:8443/http://host:81/a%20b";
        assert_eq!(safe, (url.into(), "host:81".into(), Some(address::basic("me", "p@ss"))));
    }
}
