use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// So many letters that look random: nothing that lies in this repository is a secret, nor
/// looks like one.
fn letters(alphabet: &str, count: usize, seed: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        letters[(state >> 8) % letters.len()]
    };
    (0..count).map(|_| next()).collect()
}

const ALNUM: &str = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789";
const CAPITAL: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";

fn private_key(kind: &str, end: &str, seed: usize) -> String {
    let lines: Vec<String> = (0..4).map(|line| letters(ALNUM, 64, seed + line)).collect();
    let body = lines.join(end);
    format!("-----BEGIN {kind}-----{end}{body}{end}-----END {kind}-----")
}

fn jwt(seed: usize) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"1234567890","name":"A"}"#);
    format!("{header}.{claims}.{}", letters(ALNUM, 43, seed))
}

/// Rule, mark, letters behind it, and how many.
const TOKENS: [(&str, &str, &str, usize); 28] = [
    ("amazon-key-id", "AKIA", CAPITAL, 16),
    ("amazon-key-id", "ASIA", CAPITAL, 16),
    ("amazon-secret", "aws_secret_access_key = ", ALNUM, 40),
    ("amazon-secret", "secretAccessKey: ", ALNUM, 40),
    ("github-token", "ghp_", ALNUM, 36),
    ("github-token", "gho_", ALNUM, 36),
    ("github-token", "github_pat_", ALNUM, 82),
    ("gitlab-token", "glpat-", ALNUM, 20),
    ("slack-token", "xoxb-", ALNUM, 40),
    ("slack-token", "xapp-", ALNUM, 60),
    ("stripe-key", "sk_live_", ALNUM, 24),
    ("stripe-key", "rk_live_", ALNUM, 99),
    ("google-api-key", "AIza", ALNUM, 35),
    ("google-client-secret", "GOCSPX-", ALNUM, 28),
    ("npm-token", "npm_", ALNUM, 36),
    ("pypi-token", "pypi-AgEIcHlwaS5vcmc", ALNUM, 90),
    ("openai-key", "sk-proj-", ALNUM, 48),
    ("anthropic-key", "sk-ant-", ALNUM, 95),
    ("huggingface-token", "hf_", ALNUM, 34),
    ("digitalocean-token", "dop_v1_", HEX, 64),
    ("shopify-token", "shpat_", HEX, 32),
    ("sentry-token", "sntrys_", ALNUM, 90),
    ("azure-storage-key", "AccountKey=", ALNUM, 86),
    ("docker-token", "dckr_pat_", ALNUM, 27),
    ("vault-token", "hvs.", ALNUM, 95),
    ("databricks-token", "dapi", HEX, 32),
    ("doppler-token", "dp.st.", ALNUM, 43),
    ("age-key", "AGE-SECRET-KEY-1", CAPITAL, 58),
];

/// Addresses, with `PW` for a password.
const ADDRESSES: [&str; 8] = [
    "postgres://app:PW@pg.corp.net:5432/app",
    "postgresql://app:PW@10.0.0.4/app",
    "mysql://root:PW@mysql-1/app",
    "mongodb+srv://svc:PW@cluster0.abcde.mongodb.net",
    "redis://:PW@cache:6379/0",
    "amqps://svc:PW%40x@mq.corp.net",
    "https://bot:PW@git.corp.net/repository.git",
    "smtp://mail:PW@smtp.corp.net:587",
];

/// Kinds of private keys, and how their lines end.
const KEYS: [(&str, &str); 7] = [
    ("PRIVATE KEY", "\n"),
    ("RSA PRIVATE KEY", "\\n"),
    ("EC PRIVATE KEY", "\r\n"),
    ("OPENSSH PRIVATE KEY", "\n"),
    ("ENCRYPTED PRIVATE KEY", "\\\\n"),
    ("PGP PRIVATE KEY BLOCK", "\n"),
    ("PRIVATE KEY", "\\n\" +\n  \""),
];

/// A rule and a secret that it must find.
fn secrets() -> Vec<(&'static str, String)> {
    let mut all = vec![("jwt", jwt(1))];
    for (seed, (kind, end)) in KEYS.iter().enumerate() {
        all.push(("private-key", private_key(kind, end, seed)));
    }
    for address in ADDRESSES {
        let address = address.replace("PW", &letters(ALNUM, 14, 99));
        all.push(("address-with-password", address));
    }
    for (seed, (rule, mark, alphabet, count)) in TOKENS.iter().enumerate() {
        all.push((rule, format!("{mark}{}", letters(alphabet, *count, seed))));
    }
    all
}

/// One of them.
fn token() -> String {
    format!("ghp_{}", letters(ALNUM, 36, 7))
}

/// A map with one source of this text.
fn map_of(text: &str) -> String {
    serde_json::json!({
        "version": 3, "sources": ["../src/config.ts"], "sourcesContent": [text], "mappings": "AAAA",
    })
    .to_string()
}

#[test]
fn every_planted_secret_is_refused_wherever_it_lies() {
    let secrets = secrets();
    assert!(secrets.len() >= 40);
    for (rule, secret) in &secrets {
        let quote = if secret.contains('"') { '\'' } else { '"' };
        for (file, text) in [
            (
                "app-gateway/main.js",
                format!("var a = 1;\nvar b = `{secret}`;\n"),
            ),
            (
                "app-gateway/main.js.map",
                map_of(&format!(
                    "// first\nexport const key = {quote}{secret}{quote};"
                )),
            ),
            (
                "app/bin/start.sh",
                format!("#!/bin/sh\nexport KEY='{secret}'\n"),
            ),
            ("app/settings.yaml", format!("a: 1\nkey: {secret}\n")),
        ] {
            let hits = scan_text(file, text.as_bytes());
            let found: Vec<_> = hits.iter().map(|hit| hit.rule).collect();
            assert_eq!(found, [*rule], "{file}: {text}");
            assert!(hits.iter().all(|hit| hit.refused));
            let told = format!("{hits:?}");
            assert!(
                !told.contains(&secret[secret.len() / 2..]),
                "it must not be told: {told}"
            );
        }
    }
}

#[test]
fn a_hit_names_its_place_also_in_a_map() {
    let secret = token();
    let hits = scan_text(
        "main.js",
        format!("a();\nb(); var t = \"{secret}\";").as_bytes(),
    );
    assert_eq!((hits[0].line, hits[0].column), (2, 15));
    let inner = scan_text(
        "main.js.map",
        map_of(&format!("\n\nconst t = '{secret}'")).as_bytes(),
    );
    let place = (inner[0].source.as_deref(), inner[0].source_line);
    assert_eq!(place, (Some("../src/config.ts"), Some(3)));
    assert_eq!(inner[0].fingerprint, hits[0].fingerprint);
    assert_eq!(hits[0].fingerprint.len(), 12);
}

#[test]
fn installed_packages_are_warned_of_and_their_private_keys_refused() {
    let file = "app-gateway/node_modules/lib/test/key.js";
    let token = token();
    assert!(!scan_text(file, token.as_bytes())[0].refused);
    let key = private_key("PRIVATE KEY", "\n", 1);
    assert!(scan_text(file, key.as_bytes())[0].refused);
    // By its map, a place of a bundle is of a package.
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("main.js");
    let map = r#"{"version":3,"sources":["../src/a.ts","../node_modules/lib/i.js"],"mappings":"AAAA;ACAA"}"#;
    let text = format!("var a = \"{token}\";\nvar b = \"{token}\";");
    std::fs::write(&bundle, &text).unwrap();
    std::fs::write(folder.path().join("main.js.map"), map).unwrap();
    let files = [(FilePath::parse("app-gateway/main.js").unwrap(), bundle)].into();
    let hits: Vec<_> = scan(&files)
        .into_iter()
        .map(|hit| (hit.line, hit.source.unwrap(), hit.refused))
        .collect();
    let expected = [
        (1, "../src/a.ts".to_owned(), true),
        (2, "../node_modules/lib/i.js".to_owned(), false),
    ];
    assert_eq!(hits, expected);
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    let mut text = String::new();
    for line in [
        "-----BEGIN PRIVATE KEY-----",
        "if (pem.includes('-----BEGIN RSA PRIVATE KEY-----')) { throw new Error('no') }",
        "`-----BEGIN PRIVATE KEY-----\\n${body}\\n-----END PRIVATE KEY-----`",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqQ7\n-----END PUBLIC KEY-----",
        "postgres://user:password@host:5432/db",
        "postgres://postgres:postgres@db.corp.net/app",
        "postgres://app:hunter22@localhost:5432/app",
        "postgres://${user}:${password}@${host}/db",
        "https://user:pass1234@example.com/",
        "https://git@github.com/a/b.git",
        "mongodb://<user>:<password>@cluster.corp.net",
        "https://registry/@scope/name:tag@1",
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAAAAAAAAAAAAAAAAA",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "ghp_short",
        "xoxb-your-token",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "aws_secret_access_key = process.env.AWS_SECRET_ACCESS_KEY",
        "secretAccessKey: credentials.secretAccessKey",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijklmnopqrstuvwxyz",
        "eyJub3QiOiJhIGhlYWRlciJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijklmnopqrstuvwxyz",
        "sha512-Zx0x6yVtTkYXlfKpPk0DgDbFhPsQ7Hb2sRbjz7aPq0h0t1mVvC8s7xjz3tCkB7cQ==",
        "npm_config_registry npm_lifecycle_event npm_package_json",
        "hf_hub_download(repository, file)",
    ] {
        writeln!(text, "{line}").unwrap();
    }
    let hits = scan_text("main.js", text.as_bytes());
    assert_eq!(hits, [], "{text}");
}

#[test]
fn many_hits_have_each_its_own_place() {
    let one = token();
    let width = one.len() + 1;
    let text = format!("\n{one}é{one}\n\n{one}\n");
    let hits = scan_text("main.js", text.as_bytes());
    let places: Vec<_> = hits.iter().map(|hit| (hit.line, hit.column)).collect();
    assert_eq!(places, [(2, 1), (2, 1 + width), (4, 1)]);
    let map = map_of(&text);
    let hits = scan_text("main.js.map", map.as_bytes());
    let lines: Vec<_> = hits.iter().map(|hit| hit.source_line).collect();
    assert_eq!(lines, [Some(2), Some(2), Some(4)]);
}
