//! The forms of secrets.
//!
//! Each is the form that its maker documents, or that every such token has had for years.

/// A rule's name and what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleName {
    /// `github-token`.
    pub id: &'static str,
    /// `GitHub token`.
    pub title: &'static str,
}

/// Which letters a token goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    /// Letters and digits.
    Alnum,
    /// Capital letters and digits.
    Capital,
    /// Hex digits in lower case.
    Hex,
    /// Letters, digits, `_` and `-`: base 64 for URLs.
    Url,
    /// Letters, digits, `/`, `+` and `=`.
    Base64,
}

/// How a secret is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// So many letters behind the mark, and then none any more.
    Token {
        letters: Letters,
        least: usize,
        most: usize,
    },
    /// The mark, and base 64 near it.
    PrivateKey,
    /// Three parts with dots between them, the first of which is a header.
    Jwt,
    /// `user:password@host` behind the mark.
    Address,
    /// An Amazon secret key behind a name, an equals sign or a colon, and quotes.
    AmazonSecret,
}

/// A rule: its name, how it begins, and what follows.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: RuleName,
    pub(super) marks: &'static [&'static str],
    pub(super) form: Form,
}

const fn rule(
    id: &'static str,
    title: &'static str,
    marks: &'static [&'static str],
    form: Form,
) -> Rule {
    Rule {
        name: RuleName { id, title },
        marks,
        form,
    }
}

const fn token(letters: Letters, least: usize, most: usize) -> Form {
    Form::Token {
        letters,
        least,
        most,
    }
}

/// The rule whose secret is bad everywhere.
pub(super) const PRIVATE_KEY: &str = "private-key";

/// All rules.
pub(super) const ALL: &[Rule] = &[
    rule(
        PRIVATE_KEY,
        "private key",
        &["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"],
        Form::PrivateKey,
    ),
    rule("jwt", "JSON web token", &["eyJ"], Form::Jwt),
    rule(
        "address-with-password",
        "address with a password",
        &[
            "postgres://",
            "postgresql://",
            "mysql://",
            "mariadb://",
            "mongodb://",
            "mongodb+srv://",
            "redis://",
            "rediss://",
            "amqp://",
            "amqps://",
            "mssql://",
            "sqlserver://",
            "clickhouse://",
            "ldap://",
            "ldaps://",
            "smtp://",
            "smtps://",
            "ftp://",
            "sftp://",
            "nats://",
            "https://",
            "http://",
        ],
        Form::Address,
    ),
    rule(
        "amazon-key-id",
        "Amazon access key",
        &["AKIA", "ASIA"],
        token(Letters::Capital, 16, 16),
    ),
    rule(
        "amazon-secret",
        "Amazon secret key",
        &[
            "aws_secret_access_key",
            "AWS_SECRET_ACCESS_KEY",
            "secretAccessKey",
        ],
        Form::AmazonSecret,
    ),
    rule(
        "github-token",
        "GitHub token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        token(Letters::Alnum, 36, 255),
    ),
    rule(
        "github-token",
        "GitHub token",
        &["github_pat_"],
        token(Letters::Url, 82, 82),
    ),
    rule(
        "gitlab-token",
        "GitLab token",
        &["glpat-", "gldt-", "glrt-", "glcbt-"],
        token(Letters::Url, 20, 64),
    ),
    rule(
        "slack-token",
        "Slack token",
        &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"],
        token(Letters::Url, 24, 255),
    ),
    rule(
        "stripe-key",
        "Stripe key",
        &["sk_live_", "rk_live_", "whsec_"],
        token(Letters::Alnum, 24, 255),
    ),
    rule(
        "google-api-key",
        "Google API key",
        &["AIza"],
        token(Letters::Url, 35, 35),
    ),
    rule(
        "google-client-secret",
        "Google client secret",
        &["GOCSPX-"],
        token(Letters::Url, 28, 28),
    ),
    rule(
        "npm-token",
        "npm token",
        &["npm_"],
        token(Letters::Alnum, 36, 36),
    ),
    rule(
        "pypi-token",
        "PyPI token",
        &["pypi-AgEIcHlwaS5vcmc"],
        token(Letters::Url, 50, 1000),
    ),
    rule(
        "openai-key",
        "OpenAI key",
        &["sk-proj-", "sk-svcacct-"],
        token(Letters::Url, 40, 255),
    ),
    rule(
        "anthropic-key",
        "Anthropic key",
        &["sk-ant-"],
        token(Letters::Url, 40, 255),
    ),
    rule(
        "huggingface-token",
        "Hugging Face token",
        &["hf_"],
        token(Letters::Alnum, 34, 34),
    ),
    rule(
        "digitalocean-token",
        "DigitalOcean token",
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        token(Letters::Hex, 64, 64),
    ),
    rule(
        "shopify-token",
        "Shopify token",
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        token(Letters::Hex, 32, 32),
    ),
    rule(
        "sentry-token",
        "Sentry token",
        &["sntrys_"],
        token(Letters::Base64, 60, 1000),
    ),
    rule(
        "azure-storage-key",
        "Azure storage key",
        &["AccountKey="],
        token(Letters::Base64, 86, 88),
    ),
    rule(
        "docker-token",
        "Docker Hub token",
        &["dckr_pat_"],
        token(Letters::Url, 27, 27),
    ),
    rule(
        "vault-token",
        "Vault token",
        &["hvs.", "hvb."],
        token(Letters::Url, 90, 200),
    ),
    rule(
        "databricks-token",
        "Databricks token",
        &["dapi"],
        token(Letters::Hex, 32, 32),
    ),
    rule(
        "doppler-token",
        "Doppler token",
        &["dp.pt.", "dp.st."],
        token(Letters::Alnum, 40, 44),
    ),
    rule(
        "linear-key",
        "Linear key",
        &["lin_api_"],
        token(Letters::Alnum, 40, 40),
    ),
    rule(
        "postman-key",
        "Postman key",
        &["PMAK-"],
        token(Letters::Url, 59, 59),
    ),
    rule(
        "age-key",
        "age secret key",
        &["AGE-SECRET-KEY-1"],
        token(Letters::Capital, 58, 58),
    ),
];

/// The names of all rules, each once.
pub const RULES: &[RuleName] = &names();

const fn names() -> [RuleName; ALL.len()] {
    let mut names = [RuleName { id: "", title: "" }; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        #[expect(clippy::indexing_slicing, reason = "both have this length")]
        {
            names[at] = ALL[at].name;
        }
        at += 1;
    }
    names
}

impl Letters {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Capital => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'='),
        }
    }
}
