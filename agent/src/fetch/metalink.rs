//! Metalink (`.meta4`, RFC 5854): where one file may be had, how long it is, and its digests.

use std::io::Read;

use offspot_config::settings::Algorithm;
use roxmltree::{Document, Node, ParsingOptions};

use super::address::{is_remote, is_secure, shown};
use super::answer::Unanswered;
use super::client::Fetcher;
use super::stream::Wanted;

/// How a description is called.
pub const SUFFIX: &str = ".meta4";
/// Longest description taken: a ZIM of 100 GB with a digest for each piece has some 100 kB.
const LONGEST: u64 = 4 << 20;
/// Most addresses taken of it.
const MIRRORS: usize = 32;
/// Digests in the order in which they are believed, by their names in the IANA registry of hash functions.
const DIGESTS: [(&str, Algorithm); 4] = [
    ("sha-512", Algorithm::Sha512),
    ("sha-256", Algorithm::Sha256),
    ("sha-1", Algorithm::Sha1),
    ("md5", Algorithm::Md5),
];

/// What a description says of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metalink {
    /// `http(s)` addresses, best first.
    pub urls: Vec<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// The strongest digest, in lower-case hex.
    pub digest: Option<(Algorithm, String)>,
}

/// Whether an address is that of a description.
pub fn is_metalink(url: &str) -> bool {
    is_remote(url) && is_name(url.split(['?', '#']).next().unwrap_or_default())
}

/// Whether a file is called as a description is.
pub fn is_name(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(SUFFIX)
}

/// What these addresses lead to: descriptions are fetched, and their addresses, length and digest taken over where `wanted` has none yet.
///
/// `is_proved`: the digest is known already. Else a description that cannot be had is an error, though there be other addresses: they would be
/// believed without the digest that it has.
pub fn expand<'u>(
    fetcher: &Fetcher,
    addresses: impl IntoIterator<Item = &'u String>,
    wanted: &mut Wanted,
    is_proved: bool,
) -> Result<Option<(Algorithm, String)>, Unanswered> {
    let (mut digest, mut failed) = (None, None);
    for url in addresses {
        if !is_metalink(url) {
            wanted.urls.push(url.clone());
            continue;
        }
        match fetch(fetcher, url) {
            Ok(link) => {
                wanted.urls.extend(link.urls);
                wanted.size = wanted.size.or(link.size);
                digest = digest.or(link.digest);
            }
            Err(no) => failed = Some(no),
        }
    }
    match failed {
        Some(no) if wanted.urls.is_empty() || !(is_proved || digest.is_some()) => Err(no),
        _ => Ok(digest),
    }
}

fn fetch(fetcher: &Fetcher, url: &str) -> Result<Metalink, Unanswered> {
    let bad = |why: String| Unanswered::for_good(format!("{}: {why}", shown(url)));
    let wanted = Wanted { urls: vec![url.to_owned()], most: LONGEST, is_text: true, ..Wanted::default() };
    let mut text = String::new();
    fetcher.open(wanted)?.read_to_string(&mut text).map_err(|error| match Unanswered::of(&error) {
        Some(no) => no.clone(),
        None => bad(error.to_string()),
    })?;
    let mut link = read(&text).map_err(bad)?;
    if is_secure(url) && link.digest.is_none() {
        // It must not lead from a connection that can be trusted to one that cannot.
        link.urls.retain(|url| is_secure(url));
    }
    match link.urls.is_empty() {
        true => Err(Unanswered::for_good(format!(
            "{}: this Metalink has neither a digest nor an https address",
            shown(url)
        ))),
        false => Ok(link),
    }
}

/// Reads a description of one file.
pub fn read(text: &str) -> Result<Metalink, String> {
    let options = ParsingOptions { nodes_limit: 1 << 20, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(text, options).map_err(|error| format!("this is no Metalink: {error}"))?;
    let is = |node: &Node<'_, '_>, name: &str| node.is_element() && node.tag_name().name() == name;
    let mut files = document.root_element().children().filter(|node| is(node, "file"));
    let (Some(file), None) = (files.next(), files.next()) else {
        return Err("this is no Metalink of one file".into());
    };
    let all =
        |name: &'static str| file.children().filter(move |node| node.is_element() && node.tag_name().name() == name);
    let text_of = |node: Node<'_, '_>| node.text().map(|text| text.trim().to_owned());
    let mut urls: Vec<(u64, String)> = all("url")
        .filter_map(|node| {
            // RFC 5854, 4.2.16: 1 is best, none is worst.
            let priority = node.attribute("priority").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
            Some((priority, text_of(node)?)).filter(|(_, url)| is_remote(url))
        })
        .collect();
    urls.sort_by_key(|(priority, _)| *priority);
    urls.truncate(MIRRORS);
    if urls.is_empty() {
        return Err("this Metalink has no http address".into());
    }
    let size = all("size").next().and_then(text_of).and_then(|text| text.parse().ok());
    let of_kind = |name: &str| all("hash").find(|node| node.attribute("type").is_some_and(|kind| kind == name));
    let digest = DIGESTS.iter().find_map(|(name, algorithm)| {
        let text = text_of(of_kind(name)?)?;
        offspot_config::rules::content::digest(*algorithm, &text).ok().map(|digest| (*algorithm, digest))
    });
    Ok(Metalink { urls: urls.into_iter().map(|(_, url)| url).collect(), size, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <generator>MirrorBrain/2.17.0</generator>
  <file name="a.zim">
    <size>5</size>
    <hash type="md5">900150983cd24fb0d6963f7d28e17f72</hash>
    <hash type="sha-256">BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD</hash>
    <pieces length="2" type="sha-1"><hash>a9993e364706816aba3e25717850c26c9cd0d89d</hash></pieces>
    <url location="fr" priority="2">http://b.example/a.zim</url>
    <url location="de" priority="1">https://a.example/a.zim</url>
    <url>ftp://c.example/a.zim</url>
    <metaurl mediatype="torrent">http://a.example/a.zim.torrent</metaurl>
  </file>
</metalink>"#;

    #[test]
    fn best_first_and_the_strongest_digest_of_the_whole() {
        let read = read(TEXT).unwrap();
        assert_eq!(read.urls, ["https://a.example/a.zim", "http://b.example/a.zim"]);
        assert_eq!(read.size, Some(5));
        let (algorithm, digest) = read.digest.unwrap();
        assert_eq!(algorithm, Algorithm::Sha256);
        assert!(digest.starts_with("ba7816bf"));
    }

    #[test]
    fn what_is_none_says_so() {
        for text in [
            "",
            "<html/>",
            "<metalink><file/><file/></metalink>",
            "<metalink><file><url>ftp://x/y</url></file></metalink>",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(is_metalink("https://h/a.zim.meta4?x") && !is_metalink("https://h/a.zim"));
    }
}
