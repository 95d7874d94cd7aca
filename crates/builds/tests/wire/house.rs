//! A build server on a free port, with an environment `dev` of two gateways.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lockgate_builds::client::{Client, Endpoint, Secret};
use lockgate_builds::pack::{PackSource, Packed, Part, Provenance, pack};
use lockgate_builds::serve::{BuildServer, Notice, Reach, Reports, ServeError};
use lockgate_builds::sign::SigningKey;
use lockgate_builds::store::Store;
use lockgate_model::{AppSettings, Digest, EnvName, GatewayName, Statement, protocol};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "token-of-gateway-0";
pub(crate) const OTHER_TOKEN: &str = "token-of-gateway-1";
pub(crate) const FOREIGN_TOKEN: &str = "token-of-another-environment";

pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) reports: Reports,
    pub(crate) notice: Notice,
    pub(crate) key: SigningKey,
    pub(crate) packed: Packed,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<Result<SocketAddr, ServeError>>,
}

pub(crate) fn env() -> EnvName {
    EnvName::parse("dev").unwrap()
}

pub(crate) fn gateway() -> GatewayName {
    GatewayName::new(&env(), 0)
}

impl House {
    pub(crate) async fn start() -> Self {
        Self::with(Reach::Loopback, |server| server).await
    }

    pub(crate) async fn with(
        reach: Reach,
        change: impl FnOnce(BuildServer) -> BuildServer,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("builds")).unwrap();
        for (name, token) in [
            ("gw-pool-dev-0", TOKEN),
            ("gw-pool-dev-1", OTHER_TOKEN),
            ("gw-pool-foreign-0", FOREIGN_TOKEN),
        ] {
            let digest = Digest::from_bytes(Sha256::digest(token).into());
            let gateway = GatewayName::parse(name).unwrap();
            store.admit(&gateway, &digest).unwrap();
        }
        let packed = pack_text(&dir, &store, &env(), "listen(8888)");
        store.make_current(&env(), &packed.manifest.build).unwrap();
        let (reports, notice) = (Reports::default(), Notice::default());
        let server = change(BuildServer::new(
            store.clone(),
            reports.clone(),
            notice.clone(),
            "lockgate/0.0.0".to_owned(),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(Arc::new(server).serve(listener, reach, stop.clone()));
        Self {
            dir,
            store,
            reports,
            notice,
            key: SigningKey::generate().unwrap(),
            packed,
            address,
            stop,
            served,
        }
    }

    /// Packs another build of the environment.
    pub(crate) fn pack(&self, text: &str) -> Packed {
        pack_text(&self.dir, &self.store, &env(), text)
    }

    pub(crate) fn releases(&self) -> PathBuf {
        self.dir.path().join("releases")
    }

    pub(crate) fn client(&self, token: &str) -> Client {
        client_to(self.address, Some(token))
    }

    /// The gateway's statement: run this build.
    pub(crate) fn statement(&self, packed: &Packed, seq: u64) -> Statement {
        Statement {
            env: env(),
            gateway: gateway(),
            build: packed.manifest.build.clone(),
            manifest: packed.manifest_digest.clone(),
            run: true,
            restart: 0,
            organization: None,
            vpn_allow: Vec::new(),
            settings: AppSettings::default(),
            previous: None,
            key_id: self.key.public().id(),
            seq,
            issued_at: seq,
        }
    }

    pub(crate) fn publish(&self, statement: &Statement) {
        let signed = self.key.sign(statement).unwrap();
        self.store
            .put_statement(&statement.gateway, statement.seq, &signed)
            .unwrap();
        self.notice.ring();
    }

    pub(crate) fn build_path(&self) -> String {
        protocol::build_path(&env(), &self.packed.manifest.build)
    }

    /// Sends a request as it stands and reads the answer to its end.
    pub(crate) async fn raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Reply::read(stream).await
    }

    /// Asks with the headers of a local program.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        let mut lines = vec![
            format!("{method} {path} HTTP/1.1"),
            "connection: close".to_owned(),
        ];
        if !headers.iter().any(|line| line.starts_with("host:")) {
            lines.push(format!("host: {}", self.address));
        }
        if path.starts_with("/v1/") && !headers.iter().any(|l| l.starts_with("lockgate-protocol:"))
        {
            lines.push("lockgate-protocol: 1".to_owned());
        }
        lines.extend(headers.iter().map(|line| (*line).to_owned()));
        self.raw(&format!("{}\r\n\r\n", lines.join("\r\n"))).await
    }

    /// Asks with the gateway's token.
    pub(crate) async fn ask_with_token(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        let token = format!("authorization: Bearer {TOKEN}");
        let headers: Vec<&str> = headers.iter().copied().chain([token.as_str()]).collect();
        self.ask(method, path, &headers).await
    }
}

pub(crate) fn client_to(address: SocketAddr, token: Option<&str>) -> Client {
    Client {
        endpoint: Endpoint::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        },
        program: "lockgate-agent/0.0.0".to_owned(),
        token: token.map(|token| Secret::new(token.to_owned())),
    }
}

fn pack_text(dir: &TempDir, store: &Store, env: &EnvName, text: &str) -> Packed {
    let workspace = dir.path().join("workspace");
    fs::create_dir_all(workspace.join("dist/src")).unwrap();
    fs::create_dir_all(workspace.join("app/lib")).unwrap();
    fs::write(workspace.join("dist/main.js"), text).unwrap();
    fs::write(workspace.join("dist/main.js.map"), vec![b'm'; 300_000]).unwrap();
    fs::write(workspace.join("dist/src/index.ts"), "export {}").unwrap();
    fs::write(workspace.join("app/lib/start.sh"), "#!/bin/sh\n").unwrap();
    let part = |from: &str, to: &str| Part {
        from: from.into(),
        to: to.to_owned(),
        required: true,
    };
    let source = PackSource {
        env: env.clone(),
        workspace,
        parts: vec![part("dist", "app-gateway"), part("app", "app")],
    };
    let provenance = Provenance {
        built_at: UNIX_EPOCH + Duration::from_hours(500_000),
        commit: None,
        branch: None,
        dirty: None,
        node_version: None,
        tool: "lockgate/0.0.0".to_owned(),
    };
    pack(&source, &provenance, true, store).unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) async fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(&bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: bytes.split_off(end + 4),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| {
            line.split_once(": ")
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(|line| named(line))?;
        Some(line.split_once(": ")?.1)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}
