//! What a certificate (RFC 9580, section 10.1) says of its keys. Only self-signatures that verify, by a strong hash, are listened to.

use std::time::{Duration, SystemTime};

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{PublicKey, PublicSubkey, RevocationCode, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Fingerprint, KeyDetails, KeyId, PublicParams, Tag};

use super::strong;

/// RSA below this is weak.
const RSA_BITS: u16 = 2048;

/// When a key was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revoked {
    Never,
    /// Replaced or retired: what it signed before stays good.
    From(SystemTime),
    /// Compromised, or no reason given: whoever holds it can date back what he signs.
    Always,
}

/// A key that may sign documents.
#[derive(Debug)]
pub(super) struct Signer {
    key: Key,
    id: KeyId,
    print: Fingerprint,
    /// Upper-case hex.
    pub fingerprint: String,
    /// When it was made.
    pub created: SystemTime,
    /// When it ends: the earlier of its own end and the primary key's.
    pub expires: Option<SystemTime>,
    /// Whether it, or its primary key, was given up.
    pub revoked: Revoked,
    /// Whether its signatures could be forged.
    pub weak: bool,
}

#[derive(Debug)]
enum Key {
    Primary(PublicKey),
    Sub(PublicSubkey),
}

impl Signer {
    /// Whether the signature names this key. Only a hint: its making is what counts.
    pub fn is_issuer_of(&self, it: &Signature) -> bool {
        match it.issuer_fingerprint().as_slice() {
            [] => it.issuer_key_id().contains(&&self.id),
            prints => prints.contains(&&self.print),
        }
    }

    /// Whether this key made the signature over these bytes.
    pub fn made(&self, it: &Signature, signed: &[u8]) -> bool {
        match &self.key {
            Key::Primary(key) => it.verify(key, signed).is_ok(),
            Key::Sub(key) => it.verify(key, signed).is_ok(),
        }
    }
}

/// The keys of a certificate that may sign documents.
pub(super) fn signers(certificate: &SignedPublicKey) -> Vec<Signer> {
    let primary = &certificate.primary_key;
    let Some(own) = newest(self_signatures(certificate)) else {
        return Vec::new();
    };
    let revoked = revoked(certificate.details.revocation_signatures.iter().filter(|it| it.verify_key(primary).is_ok()));
    let ends = ends(own, primary.created_at().into());
    let mut signers = Vec::new();
    if flags(own).unwrap_or(true) {
        signers.push(signer(Key::Primary(primary.clone()), primary, ends, revoked));
    }
    for subkey in &certificate.public_subkeys {
        signers.extend(subkey_signer(primary, subkey, ends, revoked));
    }
    signers
}

fn subkey_signer(
    primary: &PublicKey,
    subkey: &SignedPublicSubKey,
    ends_above: Option<SystemTime>,
    revoked_above: Revoked,
) -> Option<Signer> {
    let key = &subkey.key;
    let ours = || subkey.signatures.iter().filter(|it| it.verify_subkey_binding(primary, key).is_ok());
    let binding = newest(ours().filter(|it| it.typ() == Some(SignatureType::SubkeyBinding) && strong(it)))?;
    let back = binding.embedded_signature()?;
    if flags(binding) != Some(true) || !strong(back) || back.verify_primary_key_binding(key, primary).is_err() {
        return None;
    }
    let given_up = revoked(ours().filter(|it| it.typ() == Some(SignatureType::SubkeyRevocation)));
    let ends = earlier(ends(binding, key.created_at().into()), ends_above);
    Some(signer(Key::Sub(key.clone()), key, ends, worse(given_up, revoked_above)))
}

fn signer(key: Key, details: &impl KeyDetails, expires: Option<SystemTime>, revoked: Revoked) -> Signer {
    let print = details.fingerprint();
    Signer {
        key,
        id: details.legacy_key_id(),
        fingerprint: format!("{print:X}"),
        print,
        created: details.created_at().into(),
        expires,
        revoked,
        weak: weak(details),
    }
}

/// What the owner says of his primary key: direct signatures, and those over his names.
fn self_signatures(certificate: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let key = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter();
    let direct = direct.filter(move |it| it.typ() == Some(SignatureType::Key) && it.verify_key(key).is_ok());
    let named = certificate.details.users.iter().flat_map(move |user| {
        let ours = move |it: &&Signature| it.verify_certification(key, Tag::UserId, &user.id).is_ok();
        user.signatures.iter().filter(|it| it.typ() != Some(SignatureType::CertRevocation)).filter(ours)
    });
    direct.chain(named).filter(|it| strong(it))
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|it| it.created())
}

/// Whether the key flags allow signing documents; `None` where there are none.
fn flags(it: &Signature) -> Option<bool> {
    it.config()?.hashed_subpackets().find_map(|packet| match &packet.data {
        SubpacketData::KeyFlags(flags) => Some(flags.sign()),
        _ => None,
    })
}

/// When a key ends by this self-signature: the key's life, and the signature's own.
fn ends(it: &Signature, key_created: SystemTime) -> Option<SystemTime> {
    let end = |start: SystemTime, life: Option<Duration>| life.filter(|life| !life.is_zero()).map(|life| start + life);
    let key = end(key_created, it.key_expiration_time().map(Duration::from));
    let made = it.created().map_or(key_created, SystemTime::from);
    earlier(key, end(made, it.signature_expiration_time().map(Duration::from)))
}

fn earlier(one: Option<SystemTime>, other: Option<SystemTime>) -> Option<SystemTime> {
    one.into_iter().chain(other).min()
}

fn revoked<'a>(revocations: impl Iterator<Item = &'a Signature>) -> Revoked {
    revocations.fold(Revoked::Never, |so_far, it| {
        let soft = matches!(
            it.revocation_reason_code(),
            Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired | RevocationCode::CertUserIdInvalid)
        );
        let this = it.created().filter(|_| soft).map_or(Revoked::Always, |date| Revoked::From(date.into()));
        worse(so_far, this)
    })
}

fn worse(one: Revoked, other: Revoked) -> Revoked {
    match (one, other) {
        (Revoked::Always, _) | (_, Revoked::Always) => Revoked::Always,
        (Revoked::From(one), Revoked::From(other)) => Revoked::From(one.min(other)),
        (Revoked::From(date), Revoked::Never) | (Revoked::Never, Revoked::From(date)) => Revoked::From(date),
        (Revoked::Never, Revoked::Never) => Revoked::Never,
    }
}

fn weak(key: &impl KeyDetails) -> bool {
    match key.public_params() {
        // The modulus comes first, as an integer that begins with the number of its bits (section 3.2).
        PublicParams::RSA(rsa) => !rsa.to_bytes().is_ok_and(|bytes| match bytes.as_slice() {
            [high, low, ..] => u16::from_be_bytes([*high, *low]) >= RSA_BITS,
            _ => false,
        }),
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => {
            false
        }
        _ => true,
    }
}
