//! Names that are parsed once, at the edge, and trusted afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not the name it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct NameError {
    /// The text as it was given.
    pub text: String,
    /// What it should have been, with its article: `an environment name`.
    pub what: &'static str,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// Gives a name type its parsing, printing and (de)serialising from one `check`.
macro_rules! name_type {
    ($type:ident, $what:literal, $rule:literal, $check:expr) => {
        impl $type {
            #[doc = concat!("Reads ", $what, ": ", $rule, ".")]
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError {
                        text: text.to_owned(),
                        what: $what,
                        rule: $rule,
                    })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

/// The name of an environment: `dev-001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

name_type!(
    EnvName,
    "an environment name",
    "1 to 32 lower-case letters, digits and hyphens, with a letter or digit at both ends",
    |text| {
        text.len() <= 32
            && !text.is_empty()
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

/// The name of a gateway: `gw-pool-dev-001-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct GatewayName(String);

name_type!(
    GatewayName,
    "a gateway name",
    "`gw-pool-{env}-{n}` with an environment's name and a number",
    |text| split_gateway(text).is_some()
);

fn split_gateway(text: &str) -> Option<(EnvName, u32)> {
    let (env, number) = text.strip_prefix("gw-pool-")?.rsplit_once('-')?;
    let canonical = number == "0" || !number.starts_with('0');
    let digits = canonical && number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse().ok().filter(|_| digits)?;
    Some((EnvName::parse(env).ok()?, number))
}

impl GatewayName {
    /// The gateway with this number in an environment.
    pub fn new(env: &EnvName, number: u32) -> Self {
        Self(format!("gw-pool-{env}-{number}"))
    }

    /// The environment the gateway belongs to.
    pub fn env(&self) -> EnvName {
        match split_gateway(&self.0) {
            Some((env, _)) => env,
            None => unreachable!("checked by parse"),
        }
    }

    /// The gateway's number in its environment, from 0.
    pub fn number(&self) -> u32 {
        match split_gateway(&self.0) {
            Some((_, number)) => number,
            None => unreachable!("checked by parse"),
        }
    }
}

/// The name of a service of the host: `ganymede`. It stands beside gateways on the command line, so
/// it is nothing that could mean one of those.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

name_type!(
    ServiceName,
    "a service name",
    "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends, that do \
     not mean a gateway as `gateway`, `gw-…` and numbers do",
    |text| {
        let means_a_gateway = matches!(text, "gateway" | "gateways")
            || text.starts_with("gw-")
            || text.bytes().all(|b| b.is_ascii_digit());
        (1..=63).contains(&text.len())
            && !means_a_gateway
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

/// The name of a build: the first 12 hex digits of a SHA-256 over its files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct BuildId(String);

name_type!(
    BuildId,
    "a build name",
    "12 lower-case hex digits",
    |text| text.len() == 12 && is_hex(text)
);

/// A SHA-256 digest, written `sha256:` and 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

name_type!(
    Digest,
    "a digest",
    "`sha256:` followed by 64 lower-case hex digits",
    |text| text
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && is_hex(hex))
);

impl Digest {
    /// The digest with these 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The 64 hex digits without their prefix.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// The name of a build whose file list has this digest.
    pub fn build_id(&self) -> BuildId {
        BuildId(self.hex().chars().take(12).collect())
    }
}

/// The number of an environment's signing key: 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

name_type!(
    KeyId,
    "a key number",
    "16 lower-case hex digits",
    |text| text.len() == 16 && is_hex(text)
);

impl KeyId {
    /// The key with this number, as minisign prints it.
    pub fn from_number(number: u64) -> Self {
        Self(format!("{number:016x}"))
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_names_are_short_dns_labels() {
        for good in ["dev-001", "a", "0", "main"] {
            assert_eq!(EnvName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "a-",
            "Dev",
            "a_b",
            "a.b",
            "a/b",
            "..",
            "ä",
            &"x".repeat(33),
        ] {
            assert!(EnvName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_gateway_name_holds_environment_and_number() {
        let name = GatewayName::parse("gw-pool-dev-001-12").unwrap();
        assert_eq!(name.env().as_str(), "dev-001");
        assert_eq!(name.number(), 12);
        assert_eq!(GatewayName::new(&name.env(), 12), name);
        for bad in [
            "gw-pool-0",
            "gw-pool-dev-01-",
            "gw-pool-dev-007",
            "gw-pool-dev-+1",
            "dev-0",
            "",
        ] {
            assert!(GatewayName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_service_name_is_a_label_that_means_no_gateway() {
        for good in ["ganymede", "a", "db-2", "gw", "gatewayd"] {
            assert_eq!(ServiceName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "gateway",
            "gateways",
            "0",
            "12",
            "gw-0",
            "gw-pool-dev-001-0",
            "gw-pool-x",
            "-a",
            "a-",
            "A",
            "a.b",
            "a/b",
            "..",
            &"x".repeat(64),
        ] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_names_a_build() {
        let digest = Digest::from_bytes([0xab; 32]);
        assert_eq!(digest.hex().len(), 64);
        assert_eq!(digest.build_id().as_str(), "abababababab");
        assert!(Digest::parse(&digest.hex().to_uppercase()).is_err());
    }

    #[test]
    fn an_error_names_text_and_rule() {
        let error = EnvName::parse("Dev").unwrap_err().to_string();
        assert!(
            error.starts_with("`Dev` is not an environment name: 1 to 32"),
            "{error}"
        );
    }
}
