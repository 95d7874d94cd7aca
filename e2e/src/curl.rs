//! The front door as any client meets it: curl, which resolves `*.localhost` by itself and trusts
//! what it is told to, nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::World;
use crate::world::{Ran, ran};

/// The front door of a world's server.
#[derive(Debug, Clone)]
pub struct FrontDoor {
    /// The port of `https://`.
    pub https: u16,
    /// The port that leads there.
    pub http: u16,
    /// The certificate that clients trust.
    pub trusted: PathBuf,
}

/// What curl was answered.
#[derive(Debug)]
pub struct Curled {
    /// The status; 0 where there was no answer.
    pub status: u16,
    /// The version of HTTP: `2`, `1.1`.
    pub version: String,
    /// Where a redirect leads.
    pub location: String,
    /// The body.
    pub body: String,
    /// What went wrong.
    pub error: String,
}

impl Curled {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What curl writes behind the body.
const FIGURES: &str = "\n%{http_code} %{http_version} %{redirect_url}";

#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
impl FrontDoor {
    /// The front door of this world, trusted by its home's authority.
    pub fn of(world: &World) -> Self {
        let status = world.lockgate(&["serve", "status", "--format", "json"]);
        let status = status.expect(0).json();
        let port = |name: &str| {
            let port = status.pointer(&format!("/server/front/{name}"));
            let port = port.and_then(Value::as_u64).expect("the port is open");
            u16::try_from(port).expect("a port")
        };
        Self {
            https: port("https_port"),
            http: port("http_port"),
            trusted: world.home().join("ca/ca.pem"),
        }
    }

    /// The same door for clients that trust this certificate.
    #[must_use]
    pub fn trusting(&self, trusted: &Path) -> Self {
        Self {
            trusted: trusted.to_owned(),
            ..self.clone()
        }
    }

    /// Asks for a path at a host, over TLS.
    pub fn get(&self, host: &str, path: &str) -> Curled {
        self.curl(&[&format!("https://{host}:{}{path}", self.https)])
    }

    /// Calls curl with these arguments, of which one is a URL.
    pub fn curl(&self, args: &[&str]) -> Curled {
        let ran = self.run(&[&["--write-out", FIGURES], args].concat());
        let (body, figures) = ran.stdout.rsplit_once('\n').unwrap_or_default();
        let mut figures = figures.split(' ').map(str::to_owned);
        let mut next = || figures.next().unwrap_or_default();
        Curled {
            status: next().parse().unwrap_or_default(),
            version: next(),
            location: next(),
            body: body.to_owned(),
            error: ran.stderr,
        }
    }

    /// Calls curl as it is.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = Command::new("curl")
            .args(["-q", "--silent", "--show-error", "--max-time", "60"])
            .args(["--noproxy", "*", "--cacert"])
            .arg(&self.trusted)
            .args(args)
            .output();
        ran(&output.expect("`curl` starts"))
    }
}
