//! What gpg signs is believed where it should be, and refused by the right name where not.

mod lock_parts;

use std::time::SystemTime;

use image_skel::trust::{Keyring, Refusal};
use lock_parts::{Gpg, at};

const TEXT: &str = "Suite: trixie\n- a line that begins with a dash\ntrailing white space \t\n\nlast\n";
const READ: &str = "Suite: trixie\n- a line that begins with a dash\ntrailing white space\n\nlast\n";
/// 2026-03-01.
const NOW: u64 = 1_772_323_200;
const JANUARY: &str = "20260101T000000";
const FEBRUARY: &str = "20260201T000000";

fn judge(keyring: &[u8], document: &str, now: SystemTime) -> Result<String, Refusal> {
    Keyring::parse(keyring).unwrap().cleartext(document.as_bytes(), now).map(|(text, _)| text)
}

#[test]
fn good_signatures_of_every_usual_kind_of_key() {
    let gpg = Gpg::new();
    for (name, algorithm) in [("ed", "ed25519"), ("rsa", "rsa2048"), ("nist", "nistp256")] {
        let fingerprint = gpg.key(name, algorithm, JANUARY, "none");
        let keyring = Keyring::parse(&gpg.public(name)).unwrap();
        for more in [&[][..], &["--digest-algo", "SHA512"]] {
            let document = gpg.clear(name, FEBRUARY, more, TEXT);
            let (text, good) = keyring.cleartext(document.as_bytes(), at(NOW)).unwrap();
            assert_eq!((text.as_str(), &good.fingerprint), (READ, &fingerprint));
            assert_eq!(good.created, at(1_769_904_000));
            let windows = document.replace('\n', "\r\n");
            assert_eq!(keyring.cleartext(windows.as_bytes(), at(NOW)).unwrap().0, READ);
        }
        let apart = gpg.apart(name, FEBRUARY, &[], TEXT);
        assert_eq!(keyring.detached(TEXT.as_bytes(), apart.as_bytes(), at(NOW)).unwrap().fingerprint, fingerprint);
        let other = keyring.detached(READ.as_bytes(), apart.as_bytes(), at(NOW));
        assert_eq!(other, Err(Refusal::BadSignature));
        assert_eq!(keyring.detached(TEXT.as_bytes(), b"", at(NOW)), Err(Refusal::Unsigned));
    }
}

#[test]
fn another_key_a_changed_text_and_no_signature() {
    let gpg = Gpg::new();
    let ours = gpg.key("ours", "ed25519", JANUARY, "none");
    let foreign = gpg.key("foreign", "ed25519", JANUARY, "none");
    let keyring = gpg.public("ours");
    let document = gpg.clear("foreign", FEBRUARY, &[], TEXT);
    assert_eq!(judge(&keyring, &document, at(NOW)), Err(Refusal::UnknownKey(foreign)));
    let document = gpg.clear("ours", FEBRUARY, &[], TEXT);
    assert_eq!(judge(&keyring, &document.replace("trixie", "sid"), at(NOW)), Err(Refusal::BadSignature));
    assert_eq!(judge(&keyring, TEXT, at(NOW)), Err(Refusal::Unsigned));
    for evil in [format!("Suite: sid\n{document}"), format!("{document}Suite: sid\n"), format!("{document}{document}")]
    {
        assert_eq!(judge(&keyring, &evil, at(NOW)).unwrap_err().code(), "malformed");
    }
    let both = gpg.clear("foreign", FEBRUARY, &["-u", &ours], TEXT);
    assert_eq!(judge(&keyring, &both, at(NOW)).as_deref(), Ok(READ), "one good signature is enough");
    let two = [gpg.public("foreign"), keyring].concat();
    assert_eq!(Keyring::parse(&two).unwrap().fingerprints().count(), 2, "several armored blocks");
}

#[test]
fn dates_of_keys_and_signatures() {
    let gpg = Gpg::new();
    let short = gpg.key("short", "ed25519", JANUARY, "seconds=5000000");
    let document = gpg.clear("short", FEBRUARY, &[], TEXT);
    let keyring = gpg.public("short");
    assert!(judge(&keyring, &document, at(1_767_225_600 + 4_999_999)).is_ok());
    assert_eq!(judge(&keyring, &document, at(1_767_225_600 + 5_000_000)), Err(Refusal::ExpiredKey(short)));

    gpg.key("long", "ed25519", JANUARY, "none");
    let keyring = gpg.public("long");
    let document = gpg.clear("long", FEBRUARY, &["--default-sig-expire", "seconds=1000"], TEXT);
    assert!(judge(&keyring, &document, at(1_769_904_999)).is_ok());
    assert_eq!(judge(&keyring, &document, at(1_769_905_000)), Err(Refusal::ExpiredSignature));
    let document = gpg.clear("long", FEBRUARY, &[], TEXT);
    assert!(judge(&keyring, &document, at(1_769_904_000 - 86_400)).is_ok());
    assert_eq!(judge(&keyring, &document, at(1_769_904_000 - 86_401)), Err(Refusal::Future));
}

#[test]
fn revoked_keys() {
    let gpg = Gpg::new();
    for (name, reason, earlier_is_good) in [("lost", "1", false), ("replaced", "2", true), ("silent", "0", false)] {
        let fingerprint = gpg.key(name, "ed25519", JANUARY, "none");
        let before = gpg.clear(name, FEBRUARY, &[], TEXT);
        let after = gpg.clear(name, "20260220T000000", &[], TEXT);
        let answers = format!("y\n{reason}\n\ny\n");
        let made = ["--faked-system-time", "20260210T000000!", "--no-batch", "--command-fd", "0", "--armor"];
        let revocation = gpg.run(&[&made[..], &["--gen-revoke", &fingerprint]].concat(), answers.as_bytes());
        gpg.run(&["--import"], revocation.as_bytes());
        let keyring = gpg.public(name);
        let refusal = Refusal::RevokedKey(fingerprint);
        assert_eq!(judge(&keyring, &after, at(NOW)), Err(refusal.clone()), "{name}");
        assert_eq!(judge(&keyring, &before, at(NOW)).is_ok(), earlier_is_good, "{name}");
    }
}

#[test]
fn subkeys_sign_for_their_key() {
    let gpg = Gpg::new();
    let primary = gpg.key("whole", "ed25519", JANUARY, "none");
    let made = ["--faked-system-time", "20260102T000000!"];
    gpg.run(&[&made[..], &["--quick-add-key", &primary, "ed25519", "sign", "seconds=5000000"]].concat(), b"");
    let subkey = gpg.fingerprints("whole").remove(1);
    let document = gpg.clear(&format!("{subkey}!"), FEBRUARY, &[], TEXT);
    let public = gpg.public("whole");
    let keyring = Keyring::parse(&public).unwrap();
    assert_eq!(keyring.cleartext(document.as_bytes(), at(NOW - 2_000_000)).unwrap().1.fingerprint, subkey);
    assert_eq!(judge(&public, &document, at(NOW)), Err(Refusal::ExpiredKey(subkey.clone())));
    let answers = b"key 1\nrevkey\ny\n1\n\ny\nsave\n";
    gpg.run(&["--no-batch", "--command-fd", "0", "--edit-key", &primary], answers);
    let refusal = Err(Refusal::RevokedKey(subkey));
    assert_eq!(judge(&gpg.public("whole"), &document, at(NOW - 2_000_000)), refusal);
    let own_file = with_trust_packets(&gpg.public("whole"));
    assert_eq!(judge(&own_file, &document, at(NOW - 2_000_000)), refusal, "the revocation is not lost behind one");
    let document = gpg.clear(&format!("{primary}!"), FEBRUARY, &[], TEXT);
    assert!(judge(&gpg.public("whole"), &document, at(NOW)).is_ok(), "the key itself is still good");
}

/// As GnuPG keeps a keyring for itself: a trust packet behind each other packet.
fn with_trust_packets(armored: &[u8]) -> Vec<u8> {
    use pgp::packet::PacketParser;
    use pgp::ser::Serialize;
    let mut dearmor = pgp::armor::Dearmor::new(armored);
    dearmor.read_header().unwrap();
    let mut bytes = Vec::new();
    for packet in PacketParser::new(std::io::BufReader::new(dearmor)) {
        packet.unwrap().to_writer(&mut bytes).unwrap();
        bytes.extend([0xb0, 2, 0, 3]);
    }
    bytes
}

/// Without its back-signature a subkey could be taken over by another certificate.
#[test]
fn a_subkey_without_a_back_signature_counts_for_nothing() {
    use pgp::composed::{Deserializable, SignedPublicKey};
    use pgp::packet::{Signature, SubpacketData};
    use pgp::ser::Serialize;
    let gpg = Gpg::new();
    let primary = gpg.key("whole", "ed25519", JANUARY, "none");
    gpg.run(&["--faked-system-time", "20260102T000000!", "--quick-add-key", &primary, "ed25519", "sign"], b"");
    let subkey = gpg.fingerprints("whole").remove(1);
    let document = gpg.clear(&format!("{subkey}!"), FEBRUARY, &[], TEXT);
    let mut certificate = SignedPublicKey::from_armor_single(gpg.public("whole").as_slice()).unwrap().0;
    assert!(judge(&certificate.to_bytes().unwrap(), &document, at(NOW)).is_ok());
    let binding: &mut Signature = &mut certificate.public_subkeys[0].signatures[0];
    let unhashed: Vec<_> = binding.config().unwrap().unhashed_subpackets().cloned().collect();
    let at_index = unhashed.iter().position(|it| matches!(it.data, SubpacketData::EmbeddedSignature(_))).unwrap();
    binding.unhashed_subpacket_remove(at_index).unwrap();
    let bytes = certificate.to_bytes().unwrap();
    assert_eq!(judge(&bytes, &document, at(NOW)), Err(Refusal::UnknownKey(subkey)));
}

#[test]
fn weak_hashes_and_keys() {
    let gpg = Gpg::new();
    gpg.key("long", "rsa2048", JANUARY, "none");
    let document = gpg.clear("long", FEBRUARY, &["--digest-algo", "SHA1"], TEXT);
    assert_eq!(judge(&gpg.public("long"), &document, at(NOW)), Err(Refusal::WeakHash("SHA1".into())));
    let short = gpg.key("short", "rsa1024", JANUARY, "none");
    let document = gpg.clear("short", FEBRUARY, &[], TEXT);
    assert_eq!(judge(&gpg.public("short"), &document, at(NOW)), Err(Refusal::WeakKey(short)));
}

#[test]
fn a_keyring_without_keys_is_an_error() {
    assert!(Keyring::parse(b"").is_err());
    assert!(
        Keyring::parse(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n").is_err()
    );
}
