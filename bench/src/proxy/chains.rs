//! Two doors one behind the other, and the application behind both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::names::{DOMAIN, ORGANIZATION};
use crate::error::BenchError;
use crate::nginx;
use crate::process::{Running, command, free_port};
use crate::usage;

/// A path with a small answer.
pub(super) const SMALL: &str = "/small";
/// A path with an answer of 1 MB.
pub(super) const LARGE: &str = "/large";

const LARGE_BYTES: usize = 1_000_000;

/// Two doors.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    pub(super) secured: SocketAddr,
    pub(super) plain: SocketAddr,
    doors: [Running; 2],
}

impl Chain {
    /// The processor time that both doors have used.
    pub(super) fn processor_time(&self) -> Result<Duration, BenchError> {
        self.doors
            .iter()
            .map(|door| usage::processor_time_of_all(door.pid()))
            .sum()
    }
}

/// What both chains share: application, certificate, folder.
pub(super) struct World<'a> {
    folder: &'a Path,
    application: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    /// The certificate of the authority that clients trust.
    pub(super) authority: Vec<u8>,
    _running: Running,
}

/// Whom the clients ask for.
pub(super) fn host() -> String {
    format!("org-{ORGANIZATION}.{DOMAIN}")
}

impl<'a> World<'a> {
    pub(super) fn new(folder: &'a Path) -> Result<Self, BenchError> {
        let (authority, chain, secret) = certificate().map_err(|error| BenchError::Unexpected {
            what: format!("no certificate could be made: {error}"),
        })?;
        let (certificate, key) = (folder.join("door.pem"), folder.join("door.key"));
        let root = folder.join("root");
        std::fs::create_dir_all(&root).map_err(BenchError::io("make", &root))?;
        let large = root.join("large");
        for (path, bytes) in [
            (&certificate, chain.into_bytes()),
            (&key, secret.into_bytes()),
            (&large, vec![b'x'; LARGE_BYTES]),
        ] {
            std::fs::write(path, bytes).map_err(BenchError::io("write", path))?;
        }
        let application = free_port()?;
        let http = format!(
            "  sendfile on; tcp_nopush on; keepalive_requests 1000000;\n  \
             server {{ listen {application}; root {root};\n    \
             location = {SMALL} {{ return 200 hello; }} }}",
            root = root.display(),
        );
        let mut running = nginx::start(&folder.join("application"), &http)?;
        running.answers(application, SMALL)?;
        Ok(Self {
            folder,
            application,
            certificate,
            key,
            authority,
            _running: running,
        })
    }

    /// Our doors, each a process.
    pub(super) fn lockgate(&self) -> Result<Chain, BenchError> {
        let program = own_folder()?.join("lockgate-bench-door");
        if !program.is_file() {
            return Err(BenchError::NotBuilt {
                path: program,
                hint: "`just bench` builds it",
            });
        }
        let [secured, plain, gateway] = [free_port()?, free_port()?, free_port()?];
        let mut door = command(&program);
        door.arg("gateway")
            .args([gateway, self.application].map(|addr| addr.to_string()));
        let mut behind = Running::start(&mut door, &self.folder.join("gateway.log"))?;
        behind.answers(gateway, SMALL)?;
        let mut door = command(&program);
        door.arg("front")
            .args([secured, plain, gateway].map(|addr| addr.to_string()))
            .arg(&self.certificate)
            .arg(&self.key);
        let before = Running::start(&mut door, &self.folder.join("front.log"))?;
        Ok(Chain {
            name: "lockgate",
            secured,
            plain,
            doors: [behind, before],
        })
    }

    /// nginx in both places, with connections that are used again in both.
    pub(super) fn nginx(&self) -> Result<Chain, BenchError> {
        let [secured, plain, gateway] = [free_port()?, free_port()?, free_port()?];
        let listen = format!("    listen {gateway} default_server;");
        let http = passing(&listen, self.application);
        let mut behind = nginx::start(&self.folder.join("nginx-gateway"), &http)?;
        behind.answers(gateway, SMALL)?;
        let listen = format!(
            "    listen {plain}; listen {secured} ssl http2;\n    \
             ssl_certificate {}; ssl_certificate_key {};\n    \
             ssl_session_cache shared:s:10m; http2_max_concurrent_streams 128;",
            self.certificate.display(),
            self.key.display()
        );
        let http = passing(&listen, gateway);
        let mut before = nginx::start(&self.folder.join("nginx-front"), &http)?;
        before.answers(plain, SMALL)?;
        Ok(Chain {
            name: "nginx",
            secured,
            plain,
            doors: [behind, before],
        })
    }
}

fn passing(listen: &str, to: SocketAddr) -> String {
    format!(
        "  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}\n  \
         keepalive_requests 1000000; http2_max_requests 1000000;\n  \
         upstream next {{ server {to}; keepalive 128; keepalive_requests 1000000; }}\n  \
         server {{\n{listen}\n    client_max_body_size 0;\n    \
         location / {{\n      proxy_pass http://next;\n      proxy_http_version 1.1;\n      \
         proxy_buffering off;\n      proxy_request_buffering off;\n      \
         proxy_set_header Host $host;\n      \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
         proxy_set_header X-Forwarded-Proto $scheme;\n      \
         proxy_set_header Upgrade $http_upgrade;\n      \
         proxy_set_header Connection $connection_upgrade;\n    }}\n  }}"
    )
}

/// The folder of this program.
fn own_folder() -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("find", Path::new("myself")))?;
    Ok(own.parent().map(Path::to_owned).unwrap_or_default())
}

/// An authority's certificate, and one for the host that it signed, with its key.
fn certificate() -> Result<(Vec<u8>, String, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec![format!("*.{DOMAIN}")])?.signed_by(&key, &issuer)?;
    Ok((issuer.der().to_vec(), own.pem(), key.serialize_pem()))
}
