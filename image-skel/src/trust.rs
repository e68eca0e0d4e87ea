//! OpenPGP signatures (RFC 9580): which are believed, and why the others are not. Knows nothing of what is signed.
//!
//! A signature is good if its hash is SHA-256 or stronger, if a key of the keyring made it that may sign, is strong, and is neither revoked
//! nor expired, and if the signature itself has not expired and is not from the future. One good signature is enough.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgp::armor::{BlockType, Dearmor};
use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};

use crate::tool::{Failure, Outcome};
use certificate::{Revoked, Signer};

mod certificate;
mod cleartext;

/// How far ahead of our clock a signature may be dated.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Signatures looked at in one document.
const MOST_SIGNATURES: usize = 32;

/// The keys that are trusted for one purpose.
#[derive(Debug, Default)]
pub struct Keyring {
    signers: Vec<Signer>,
}

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    /// Fingerprint of the key or subkey that made it, upper-case hex.
    pub fingerprint: String,
    /// When it says it was made.
    pub created: SystemTime,
}

/// Why a document is not believed; of several signatures the reason that comes last here is told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// There is no signature.
    Unsigned,
    /// Not in the form of a signed document.
    Malformed(String),
    /// No key of the keyring made it: fingerprint or key id as the signature has it.
    UnknownKey(String),
    /// MD5, SHA-1 and the like.
    WeakHash(String),
    /// RSA below 2048 bits, DSA, ElGamal: fingerprint.
    WeakKey(String),
    /// Dated more than a day ahead of our clock.
    Future,
    /// It was good until a date that is past.
    ExpiredSignature,
    /// The key's time was over, when it signed or now: fingerprint.
    ExpiredKey(String),
    /// The key's owner has revoked it: fingerprint.
    RevokedKey(String),
    /// The document is not the one that was signed.
    BadSignature,
}

impl Refusal {
    /// A stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Unsigned => "unsigned",
            Refusal::Malformed(_) => "malformed",
            Refusal::UnknownKey(_) => "unknown-key",
            Refusal::WeakHash(_) => "weak-hash",
            Refusal::WeakKey(_) => "weak-key",
            Refusal::Future => "future-signature",
            Refusal::ExpiredSignature => "expired-signature",
            Refusal::ExpiredKey(_) => "expired-key",
            Refusal::RevokedKey(_) => "revoked-key",
            Refusal::BadSignature => "bad-signature",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        match self {
            Refusal::Malformed(what) => write!(f, ": {what}"),
            Refusal::UnknownKey(what)
            | Refusal::WeakHash(what)
            | Refusal::WeakKey(what)
            | Refusal::ExpiredKey(what)
            | Refusal::RevokedKey(what) => write!(f, " {what}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

impl Keyring {
    /// Reads certificates: binary (`gpg --export`), or any number of armored blocks.
    pub fn parse(bytes: &[u8]) -> Outcome<Keyring> {
        let mut keyring = Keyring::default();
        keyring.add(bytes)?;
        Ok(keyring)
    }

    /// Reads more certificates into it.
    pub fn add(&mut self, bytes: &[u8]) -> Outcome<()> {
        let before = self.signers.len();
        for certificate in certificates(bytes)
            .map_err(|_| Failure::new("keyring: it holds something else than OpenPGP certificates"))?
        {
            self.signers.extend(certificate::signers(&certificate));
        }
        if self.signers.len() == before {
            return Err(Failure::new("keyring: no key in it that may sign"));
        }
        Ok(())
    }

    /// Fingerprints of every key and subkey that may sign.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.signers.iter().map(|signer| signer.fingerprint.as_str())
    }

    /// The text that a cleartext-signed document (section 7) holds, as it was signed: white space at line ends gone, lines ended by LF.
    /// Nothing but white space may stand after the signature, and nothing at all before.
    pub fn cleartext(&self, document: &[u8], now: SystemTime) -> Result<(String, Good), Refusal> {
        let parts = cleartext::split(document)?;
        let good = self.any(&parts.armor, parts.signed().as_bytes(), SignatureType::Text, now)?;
        Ok((parts.text(), good))
    }

    /// Whether `signature`, armored or binary, is a good one over exactly these bytes.
    pub fn detached(&self, document: &[u8], signature: &[u8], now: SystemTime) -> Result<Good, Refusal> {
        self.any(signature, document, SignatureType::Binary, now)
    }

    fn any(&self, armor: &[u8], signed: &[u8], kind: SignatureType, now: SystemTime) -> Result<Good, Refusal> {
        let mut refusal = Refusal::Unsigned;
        for signature in signatures(armor)? {
            match signature.and_then(|signature| self.judge(&signature, signed, kind, now)) {
                Ok(good) => return Ok(good),
                Err(why) => refusal = refusal.max(why),
            }
        }
        Err(refusal)
    }

    fn judge(&self, it: &Signature, signed: &[u8], kind: SignatureType, now: SystemTime) -> Result<Good, Refusal> {
        if it.typ() != Some(kind) {
            return Err(Refusal::Malformed("the signature is of another kind".into()));
        }
        let Some(created) = it.created() else {
            return Err(Refusal::Malformed("the signature has no date".into()));
        };
        if !strong(it) {
            return Err(Refusal::WeakHash(it.hash_alg().map(|hash| hash.to_string()).unwrap_or_default()));
        }
        let Some(signer) = self.signers.iter().find(|signer| signer.is_issuer_of(it)) else {
            return Err(Refusal::UnknownKey(issuer(it)));
        };
        if signer.weak {
            return Err(Refusal::WeakKey(signer.fingerprint.clone()));
        }
        if !signer.made(it, signed) {
            return Err(Refusal::BadSignature);
        }
        let created = SystemTime::from(created);
        in_force(it, created, now)?;
        signer.may_sign(created, now)?;
        Ok(Good { fingerprint: signer.fingerprint.clone(), created })
    }
}

/// Whether the signature counts at `now`, whoever made it.
fn in_force(it: &Signature, created: SystemTime, now: SystemTime) -> Result<(), Refusal> {
    if created > now + AHEAD {
        return Err(Refusal::Future);
    }
    match it.signature_expiration_time().map(Duration::from) {
        Some(life) if !life.is_zero() && created + life <= now => Err(Refusal::ExpiredSignature),
        _ => Ok(()),
    }
}

impl Signer {
    fn may_sign(&self, created: SystemTime, now: SystemTime) -> Result<(), Refusal> {
        let revoked = match self.revoked {
            Revoked::Never => false,
            Revoked::From(date) => date <= created,
            Revoked::Always => true,
        };
        if revoked {
            return Err(Refusal::RevokedKey(self.fingerprint.clone()));
        }
        if self.expires.is_some_and(|end| end <= now || end <= created) {
            return Err(Refusal::ExpiredKey(self.fingerprint.clone()));
        }
        if created < self.created {
            return Err(Refusal::Malformed("the signature is older than its key".into()));
        }
        Ok(())
    }
}

/// Whether a signature's hash resists collisions.
fn strong(it: &Signature) -> bool {
    use HashAlgorithm::{Sha3_256, Sha3_512, Sha256, Sha384, Sha512};
    matches!(it.hash_alg(), Some(Sha256 | Sha384 | Sha512 | Sha3_256 | Sha3_512))
}

fn issuer(it: &Signature) -> String {
    let fingerprint = it.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    fingerprint
        .or_else(|| it.issuer_key_id().first().map(|id| id.to_string().to_uppercase()))
        .unwrap_or_else(|| "without a name".into())
}

/// The signatures of a block; one that cannot be read is a refusal of its own, because another may be good.
fn signatures(block: &[u8]) -> Result<Vec<Result<Signature, Refusal>>, Refusal> {
    // The library's own words have a backtrace in them.
    let malformed = |_| Refusal::Malformed("a signature that cannot be read".into());
    let packets: Vec<_> = if block.trim_ascii_start().starts_with(b"-----BEGIN") {
        let mut dearmor = Dearmor::new(block);
        dearmor.read_header().map_err(malformed)?;
        if dearmor.typ != Some(BlockType::Signature) {
            return Err(Refusal::Malformed("not a block of signatures".into()));
        }
        PacketParser::new(BufReader::new(dearmor)).take(MOST_SIGNATURES).collect()
    } else {
        PacketParser::new(block).take(MOST_SIGNATURES).collect()
    };
    let signature = |packet| match packet {
        Ok(Packet::Signature(signature)) => Ok(signature),
        Ok(_) => Err(Refusal::Malformed("something that is no signature stands among them".into())),
        Err(error) => Err(malformed(error)),
    };
    Ok(packets.into_iter().map(signature).collect())
}

fn certificates(bytes: &[u8]) -> pgp::errors::Result<Vec<SignedPublicKey>> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
        return from_packets(bytes);
    };
    let mut all = Vec::new();
    for (start, _) in text.match_indices(BEGIN) {
        let mut dearmor = Dearmor::new(&text.as_bytes()[start..]);
        dearmor.read_header()?;
        all.extend(from_packets(BufReader::new(dearmor))?);
    }
    Ok(all)
}

/// GnuPG's own files have trust packets among the others; left in, what follows them would be taken for another key's.
fn from_packets(reader: impl BufRead) -> pgp::errors::Result<Vec<SignedPublicKey>> {
    let packets =
        PacketParser::new(reader).filter(|packet| !matches!(packet, Ok(Packet::Trust(_) | Packet::Marker(_))));
    SignedPublicKey::from_packets(packets.peekable()).collect()
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}
