//! The short texts of registries and of their servers of tokens. All are JSON, by which one that was cut off is told from a whole one.

use std::io::Read;

use serde::de::IgnoredAny;

use super::Network;
use super::manifest::{first_kind, is_first_kind};
use crate::fetch::{Fetcher, Stream, Unanswered, Wanted, shown};
use crate::images::archive::sha256;
use crate::images::fault::Fault;

/// Times that a text is begun which breaks off.
const TRIES: usize = 3;

/// A text that is asked for.
pub struct Text<'a> {
    /// Where it may be; those that gave one are taken out.
    pub urls: &'a mut Vec<String>,
    /// Its length, if that is known, and the cap where it is not.
    pub size: Option<u64>,
    /// Longest that is read.
    pub most: u64,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// Its digest, if that is known.
    pub digest: Option<&'a str>,
    /// What it is, in words.
    pub what: &'a str,
}

impl Network {
    /// A text of the repository at `path`, and its digest. It must be the one that is wanted, or without one that which the server says: by tag
    /// its own word is all there is to hold it to. A server that gives another text is passed over.
    pub fn text(&self, path: &str, asked: Text<'_>) -> Result<(Vec<u8>, String), Fault> {
        let Text { urls, size, most, accept, digest, what } = asked;
        if size.is_some_and(|size| size > most) {
            return Err(Fault::Registry(format!("a manifest of it has more than {most} bytes")));
        }
        let mut fault = None;
        while !urls.is_empty() {
            let (keys, accept, is_known) = (Some(self.keys(path)), accept.map(str::to_owned), digest.is_some());
            let urls_left = urls.clone();
            let wanted =
                Wanted { urls: urls_left, size, most, accept, keys, is_known, is_text: !is_known, ..Wanted::default() };
            let (text, stream) = match whole(&self.inner.fetcher, wanted) {
                Ok(came) => came,
                Err(no) => return Err(fault.unwrap_or(Fault::Network(no.why))),
            };
            urls.retain(|url| url != stream.url());
            let found = format!("sha256:{}", sha256(&text));
            let said = stream.header("docker-content-digest").filter(|said| said.starts_with("sha256:"));
            if digest.or(said).is_none_or(|wanted| wanted == found) {
                return Ok((text, found));
            }
            fault.get_or_insert_with(|| match is_first_kind(&text, stream.header("content-type")) {
                true => first_kind(),
                false => Fault::Digest(what.to_owned()),
            });
        }
        Err(fault.unwrap_or_else(|| Fault::Digest(what.to_owned())))
    }
}

/// All of a text, which its cap keeps short. One that broke off is begun again, at another server if there is one.
pub fn whole(fetcher: &Fetcher, mut wanted: Wanted) -> Result<(Vec<u8>, Stream), Unanswered> {
    let mut left = TRIES.max(wanted.urls.len());
    loop {
        left -= 1;
        let mut stream = fetcher.open(wanted.clone())?;
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        let (url, is_json) = (stream.url().to_owned(), serde_json::from_slice::<IgnoredAny>(&text).is_ok());
        let (again, no) = match read {
            Ok(_) if is_page(&stream) && !is_json => {
                let why = "a web page came in its place: does this network ask for a login first?";
                (false, Unanswered::for_good(format!("{}: {why}", shown(&url))))
            }
            // Without a length only the text itself tells whether that is all of it.
            Ok(_) if left == 0 || is_json || stream.total().is_some() => return Ok((text, stream)),
            Ok(_) => (true, Unanswered::default()),
            Err(error) => {
                let no = Unanswered::of(&error).cloned();
                let no = no.unwrap_or_else(|| Unanswered::for_good(error.to_string()));
                if !no.changed && !no.sent {
                    return Err(no);
                }
                // One whose text has another length than it should have gives no better one.
                (!no.sent, no)
            }
        };
        wanted.urls.retain(|other| *other != url);
        if again {
            wanted.urls.push(url);
        }
        if left == 0 || wanted.urls.is_empty() {
            return Err(no);
        }
    }
}

fn is_page(stream: &Stream) -> bool {
    let kind = stream.header("content-type").unwrap_or_default().to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/xhtml")
}
