//! In which encoding an archive is sent.

use http::header::{ACCEPT_ENCODING, HeaderMap};

use crate::store::Encoding;

/// What suits `Accept-Encoding`; `None` when nothing the server has does.
///
/// Identity unless zstd or gzip is asked for by name: an archive is compressed for
/// whoever wants it, and a `*` wants nothing, unless identity is excluded. The higher weight wins, at equal
/// weights zstd before gzip before identity.
pub(super) fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let mut weights = Weights::default();
    let fields = headers.get_all(ACCEPT_ENCODING).iter();
    for element in fields
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
    {
        weights.take(element);
    }
    weights.best()
}

/// Weights in thousandths.
#[derive(Default)]
struct Weights {
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    other: Option<u16>,
}

impl Weights {
    fn take(&mut self, element: &str) {
        let mut parts = element.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        match coding.to_ascii_lowercase().as_str() {
            "zstd" => self.zstd = Some(weight),
            "gzip" | "x-gzip" => self.gzip = Some(weight),
            "identity" => self.identity = Some(weight),
            "*" => self.other = Some(weight),
            _ => {}
        }
    }

    fn best(&self) -> Option<Encoding> {
        // Identity is always acceptable unless it is excluded; nobody who names a
        // compressed form and says nothing of identity prefers it.
        let identity = match (self.identity, self.other) {
            (Some(weight), _) => weight,
            (None, Some(0)) => 0,
            (None, _) => 1,
        };
        let unnamed = self.other.filter(|_| identity == 0).unwrap_or(0);
        [
            (Encoding::Zstd, self.zstd.unwrap_or(unnamed)),
            (Encoding::Gzip, self.gzip.unwrap_or(unnamed)),
            (Encoding::Identity, identity),
        ]
        .into_iter()
        .filter(|(_, weight)| *weight > 0)
        // Of equals, the first.
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(encoding, _)| encoding)
    }
}

/// `0.5` as 500. What is no weight counts as not wanted.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match (whole, digits) {
        ("1", true) => 1000,
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    fn check(accept: &str, expected: Option<Encoding>) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        assert_eq!(encoding(&headers), expected, "{accept:?}");
    }

    #[test]
    fn identity_unless_a_compressed_form_is_asked_for() {
        assert_eq!(encoding(&HeaderMap::new()), Some(Encoding::Identity));
        check("", Some(Encoding::Identity));
        check("identity", Some(Encoding::Identity));
        check("*", Some(Encoding::Identity));
        check("br, deflate", Some(Encoding::Identity));
        check("gzip", Some(Encoding::Gzip));
        check("GZIP;q=0.1", Some(Encoding::Gzip));
        check("zstd", Some(Encoding::Zstd));
        check("deflate, gzip, br, zstd", Some(Encoding::Zstd));
    }

    #[test]
    fn the_higher_weight_wins() {
        check("zstd;q=0.5, gzip;q=0.8", Some(Encoding::Gzip));
        check("zstd; q=0.8, gzip; q=0.8", Some(Encoding::Zstd));
        check("identity, gzip;q=0.5", Some(Encoding::Identity));
        check("identity;q=0.5, gzip;q=0.501", Some(Encoding::Gzip));
        check("gzip;q=0", Some(Encoding::Identity));
        check("gzip;q=2", Some(Encoding::Identity));
        check("gzip;q=0.0001", Some(Encoding::Identity));
    }

    #[test]
    fn who_excludes_identity_gets_it_not() {
        check("identity;q=0", None);
        check("*;q=0", None);
        check("*;q=0, identity", Some(Encoding::Identity));
        check("identity;q=0, gzip;q=0.1", Some(Encoding::Gzip));
        check("identity;q=0, *", Some(Encoding::Zstd));
        check("identity;q=0, zstd;q=0, *;q=0.1", Some(Encoding::Gzip));
    }
}
