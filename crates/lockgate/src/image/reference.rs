//! An image's name, as far as it has to be understood here: `repository:tag`.

use std::fmt;
use std::str::FromStr;

/// An image's name with its tag, digest or id. The engine knows whether there is such an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    text: String,
}

/// A text that names no image.
#[derive(Debug, thiserror::Error)]
#[error("an image is named like `lockgate/gateway:1.0`, not `{text}`")]
pub(crate) struct ReferenceError {
    text: String,
}

impl Reference {
    /// The whole name.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Repository and tag; `None` where it is a digest or an id, which cannot be given.
    pub(crate) fn repository_and_tag(&self) -> Option<(&str, &str)> {
        if self.text.contains('@') || self.text.starts_with("sha256:") {
            return None;
        }
        // The port of a registry stands before the last `/`.
        match self.text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => Some((repository, tag)),
            _ => Some((&self.text, "latest")),
        }
    }

    /// The name with the tag that is meant where it has none.
    pub(crate) fn with_tag(&self) -> String {
        match self.repository_and_tag() {
            Some((repository, tag)) => format!("{repository}:{tag}"),
            None => self.text.clone(),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let ends = text.ends_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
        if begins && ends && text.chars().all(known) {
            Ok(Self {
                text: text.to_owned(),
            })
        } else {
            Err(ReferenceError {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_their_tags() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.repository_and_tag(), expected, "{text}");
        };
        check("base", Some(("base", "latest")));
        check("acme/base:7", Some(("acme/base", "7")));
        check("box:5000/base", Some(("box:5000/base", "latest")));
        check("box:5000/base:7-rc.1", Some(("box:5000/base", "7-rc.1")));
        check("base@sha256:ab", None);
        check("sha256:ab", None);
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for text in ["", "a b", "a\nRUN x", "-a", "a:", "a/", "$(x)"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
