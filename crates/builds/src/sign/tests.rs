use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use lockgate_model::{AppSettings, BuildId, Digest, EnvName, GatewayName};

use super::*;

fn statement(key: &PublicKey, seq: u64) -> Statement {
    Statement {
        env: EnvName::parse("dev-001").unwrap(),
        gateway: GatewayName::parse("gw-pool-dev-001-0").unwrap(),
        build: BuildId::parse("0123456789ab").unwrap(),
        manifest: Digest::from_bytes([7; 32]),
        run: true,
        restart: 0,
        organization: None,
        vpn_allow: Vec::new(),
        settings: AppSettings::default(),
        previous: None,
        key_id: key.id(),
        seq,
        issued_at: seq,
    }
}

fn signed() -> (PublicKey, SignedStatement) {
    let key = SigningKey::generate().unwrap();
    let signed = key.sign(&statement(&key.public(), 5)).unwrap();
    (key.public(), signed)
}

/// Changes one line of the signature file.
fn with_line(signed: &SignedStatement, index: usize, line: &str) -> SignedStatement {
    let text = String::from_utf8(BASE64.decode(&signed.signature).unwrap()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[index] = line;
    SignedStatement {
        statement: signed.statement.clone(),
        signature: BASE64.encode(lines.join("\n")),
    }
}

#[test]
fn what_was_signed_opens() {
    let key = SigningKey::generate().unwrap();
    let wanted = statement(&key.public(), 5);
    let signed = key.sign(&wanted).unwrap();
    assert_eq!(key.public().open(&signed).unwrap(), wanted);
    let elsewhere = PublicKey::parse(&format!(" {}\n", key.public().to_line())).unwrap();
    assert_eq!(elsewhere, key.public());
    assert_eq!(elsewhere.open(&signed).unwrap(), wanted);
}

#[test]
fn every_changed_byte_of_the_statement_is_noticed() {
    let (key, signed) = signed();
    let bytes = BASE64.decode(&signed.statement).unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        let forged = SignedStatement {
            statement: BASE64.encode(changed),
            signature: signed.signature.clone(),
        };
        let error = key.open(&forged).unwrap_err();
        assert!(
            matches!(error, SignError::Forged { .. }),
            "{index}: {error}"
        );
    }
}

#[test]
fn another_key_is_foreign() {
    let (_, signed) = signed();
    let other = SigningKey::generate().unwrap();
    let error = other.public().open(&signed).unwrap_err();
    assert!(matches!(error, SignError::ForeignKey { .. }), "{error}");
    let of_other = statement(&other.public(), 5);
    let error = SigningKey::generate().unwrap().sign(&of_other).unwrap_err();
    assert!(matches!(error, SignError::ForeignKey { .. }), "{error}");
}

#[test]
fn a_key_with_the_right_number_but_other_secret_is_a_forgery() {
    let (key, _) = signed();
    let (other, other_signed) = signed();
    let mut mixed = other.key.to_bytes();
    mixed[10..].copy_from_slice(&key.key.to_bytes()[10..]);
    let mixed = PublicKey::from_key(minisign::PublicKey::from_bytes(&mixed).unwrap());
    let error = mixed.open(&other_signed).unwrap_err();
    assert!(matches!(error, SignError::Forged { .. }), "{error}");
}

#[test]
fn malformed_signatures_are_errors_and_never_panics() {
    let (key, signed) = signed();
    let check = |signed: &SignedStatement| {
        let error = key.open(signed).unwrap_err();
        let named = matches!(
            error,
            SignError::Malformed { .. } | SignError::Forged { .. }
        );
        assert!(named, "{error}");
    };
    for (index, line) in [
        (0, "no comment"),
        (1, ""),
        (1, "AAAA"),
        (1, "!"),
        (2, "trusted comment: gateway:gw-pool-dev-001-1"),
        (2, ""),
        (3, ""),
        (3, "AAAA"),
        (3, "%%%%"),
    ] {
        check(&with_line(&signed, index, line));
    }
    for text in ["", "?", "AAAA", "bm8gc2lnbmF0dXJl", "/////w=="] {
        check(&SignedStatement {
            signature: text.to_owned(),
            ..signed.clone()
        });
    }
    check(&SignedStatement {
        statement: "not base64".to_owned(),
        ..signed.clone()
    });
}

#[test]
fn a_saved_key_is_private_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let key = SigningKey::generate().unwrap();
    key.save(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    assert_eq!(SigningKey::load(&path).unwrap().public(), key.public());

    let error = SigningKey::generate().unwrap().save(&path).unwrap_err();
    assert!(matches!(error, SignError::File { .. }), "{error}");
    assert_eq!(SigningKey::load(&path).unwrap().public(), key.public());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    SigningKey::generate().unwrap().save(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = SigningKey::load(&path).unwrap_err();
    assert!(
        matches!(error, SignError::Exposed { mode: 0o640, .. }),
        "{error}"
    );
}

#[test]
fn files_that_are_no_keys_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    for text in ["", "one line", "untrusted comment: x\nAAAA\n", "a\nb\nc\n"] {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = SigningKey::load(&path).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn only_public_keys_are_read_as_such() {
    for text in ["", "RWQ", "hello", &"A".repeat(56), &"\u{e9}".repeat(28)] {
        assert!(PublicKey::parse(text).is_err(), "{text}");
    }
}

#[test]
fn the_secret_half_is_never_printed() {
    let key = SigningKey::generate().unwrap();
    assert_eq!(
        format!("{key:?}"),
        format!("SigningKey({})", key.public().id())
    );
}
