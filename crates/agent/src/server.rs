//! Where the build server is: told by the server itself, given, or guessed from the
//! default route. And where the host's front door is, as far as the server tells.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use lockgate_builds::client::Endpoint;
use lockgate_model::environment as var;
use tracing::warn;

use crate::config::{BUILD_SERVER_PORT, checks, reader::Reader};

/// What the environment says about the build server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Servers {
    /// `LOCKGATE_SERVERS_FILE`, read anew for each question.
    pub(crate) file: Option<PathBuf>,
    /// Given by name, in this order.
    pub(crate) given: Vec<Endpoint>,
    /// The port to ask where nothing is told or given.
    pub(crate) port: u16,
}

/// The name that container engines give to their host.
const ENGINE_HOST: &str = "host.docker.internal";

/// The file holds a handful of lines; a larger one is something else.
const FILE_BYTES: u64 = 64 * 1024;

impl Servers {
    /// The endpoints to try, best first: those in the file, then those given, and no
    /// other: a token is not offered to strangers. Only where nothing says any, the default
    /// route and the engine's host; where a server keeps the file, its absence says
    /// nothing. File and routing table are read anew: addresses come and go while the
    /// agent runs.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let mut known = self.told();
        let given = self.given.iter().filter(|it| !known.contains(it));
        known.extend(given.cloned().collect::<Vec<_>>());
        if known.is_empty() && self.file.is_none() {
            self.guess()
        } else {
            known
        }
    }

    /// The first server that is known by name. Reports go there while no server has
    /// given an answer that the key verifies, so that the host can show why.
    pub(crate) fn first(&self) -> Option<Endpoint> {
        self.told()
            .into_iter()
            .next()
            .or_else(|| self.given.first().cloned())
    }

    /// Where the front door is, if the server says that it is reached from here.
    pub(crate) fn front(&self) -> Option<SocketAddr> {
        front_in_file(&self.text())
    }

    /// What stands in the file.
    fn told(&self) -> Vec<Endpoint> {
        in_file(&self.text())
    }

    /// The file's text; one that is not there, or not usable, says nothing.
    fn text(&self) -> String {
        let Some(path) = &self.file else {
            return String::new();
        };
        match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                warn!(path = %path.display(), %error, "the build server's addresses cannot be read");
                String::new()
            }
        }
    }

    fn guess(&self) -> Vec<Endpoint> {
        let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        default_route(&table)
            .map(|address| address.to_string())
            .into_iter()
            .chain([ENGINE_HOST.to_owned()])
            .map(|host| Endpoint::Tcp {
                host,
                port: self.port,
            })
            .collect()
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// One URL a line; what is none is left out, since nobody could be told of it in time.
fn in_file(text: &str) -> Vec<Endpoint> {
    text.lines()
        .map(str::trim)
        .filter_map(|line| Endpoint::parse(line).ok())
        .collect()
}

/// The first line `https://ADDRESS:PORT`. Names lead to an address, so it is none itself.
fn front_in_file(text: &str) -> Option<SocketAddr> {
    let mut lines = text.lines().map(str::trim);
    lines.find_map(|line| {
        let authority = line.strip_prefix("https://")?;
        authority.trim_end_matches('/').parse().ok()
    })
}

/// Reads `LOCKGATE_SERVERS_FILE`, `LOCKGATE_SERVER`, `BUILD_SERVER_IP` and
/// `BUILD_SERVER_PORT`.
pub(crate) fn servers(reader: &mut Reader<'_>) -> Servers {
    let mut given = reader
        .optional(var::LOCKGATE_SERVER, |text| {
            text.split(',')
                .map(str::trim)
                .filter(|url| !url.is_empty())
                .map(|url| {
                    Endpoint::parse(url).map_err(|error| {
                        format!("is not usable: {}", crate::error::in_one_line(&error))
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        })
        .unwrap_or_default();
    let port = reader
        .optional(var::BUILD_SERVER_PORT, checks::port)
        .unwrap_or(BUILD_SERVER_PORT);
    let host = reader.optional(var::BUILD_SERVER_IP, |text| {
        if text.contains(['/', ' ', '@']) {
            Err(format!("is `{text}`, not an address"))
        } else {
            Ok(text.to_owned())
        }
    });
    if let Some(host) = host {
        let endpoint = Endpoint::Tcp { host, port };
        if !given.contains(&endpoint) {
            given.push(endpoint);
        }
    }
    Servers {
        file: reader.optional(var::LOCKGATE_SERVERS_FILE, checks::path),
        given,
        port,
    }
}

/// The gateway of the default route with the lowest metric, from `/proc/net/route`.
fn default_route(table: &str) -> Option<Ipv4Addr> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let destination = fields.next()?;
            let gateway = u32::from_str_radix(fields.next()?, 16).ok()?;
            // Flags, references, uses, metric, mask.
            let metric: u32 = fields.nth(3)?.parse().ok()?;
            let mask = fields.next()?;
            let is_default = destination == "00000000" && mask == "00000000" && gateway != 0;
            // The kernel prints the address as a number in the machine's byte order.
            is_default.then(|| (metric, Ipv4Addr::from(gateway.to_ne_bytes())))
        })
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

    fn check(lines: &str, expected: Option<&str>) {
        let found = default_route(&format!("{HEAD}{lines}"));
        assert_eq!(found.map(|a| a.to_string()).as_deref(), expected);
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_is_taken() {
        check("", None);
        check("eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0", None);
        check("tun0 00000000 00000000 0001 0 0 0 00000000 0 0 0", None);
        check(
            "eth0 00000000 010011AC 0003 0 0 100 00000000 0 0 0\n\
             eth1 00000000 010012AC 0003 0 0 50 00000000 0 0 0\n\
             eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0",
            Some("172.18.0.1"),
        );
        check("half a line", None);
    }

    #[test]
    fn the_front_door_is_an_address_in_the_file_and_no_build_server() {
        let check = |text: &str, expected: Option<&str>| {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(front_in_file(text), expected, "{text}");
        };
        let text = "http://172.17.0.1:8090\nhttps://172.17.0.1:443\n";
        check(text, Some("172.17.0.1:443"));
        assert_eq!(in_file(text), [tcp("172.17.0.1")]);
        check("https://[fd00::1]:8443/\r\n", Some("[fd00::1]:8443"));
        check("https://name:443\nhttps://172.17.0.1\n", None);
        check("http://172.17.0.1:8090\n", None);
        check("", None);
    }

    fn tcp(host: &str) -> Endpoint {
        Endpoint::Tcp {
            host: host.to_owned(),
            port: 8090,
        }
    }

    fn servers(file: Option<&Path>, given: &[&str]) -> Servers {
        Servers {
            file: file.map(Path::to_owned),
            given: given.iter().map(|host| tcp(host)).collect(),
            port: 9000,
        }
    }

    #[test]
    fn what_was_given_is_not_extended_by_guesses() {
        assert_eq!(servers(None, &["10.0.0.1"]).endpoints(), [tcp("10.0.0.1")]);
        let guessed = servers(None, &[]).endpoints();
        assert_eq!(
            guessed.last().map(ToString::to_string).as_deref(),
            Some("http://host.docker.internal:9000")
        );
        assert_eq!(servers(None, &[]).first(), None);
    }

    #[test]
    fn what_the_server_told_last_is_asked_before_what_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers");
        let servers = servers(Some(&path), &["a", "b"]);
        assert_eq!(servers.endpoints(), [tcp("a"), tcp("b")]);
        // Nor does it guess while the file is being replaced.
        assert_eq!(
            Servers {
                file: Some(path.clone()),
                given: Vec::new(),
                port: 9000
            }
            .endpoints(),
            []
        );
        std::fs::write(&path, "http://c:8090\nnot a url\n\nhttp://b:8090\n").unwrap();
        assert_eq!(servers.endpoints(), [tcp("c"), tcp("b"), tcp("a")]);
        assert_eq!(servers.first(), Some(tcp("c")));
        std::fs::write(&path, "http://d:8090\n").unwrap();
        assert_eq!(servers.endpoints(), [tcp("d"), tcp("a"), tcp("b")]);
    }
}
