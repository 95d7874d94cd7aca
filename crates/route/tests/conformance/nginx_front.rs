//! nginx in the front door's place.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use lockgate_model::{
    EnvName, FrontChange, FrontEnvironment, FrontGateway, FrontTable, GatewayName, RouteName, Site,
    Standing,
};
use lockgate_route::{
    CertificateFiles, FollowError, Followed, FrontFollowed, FrontListen, FrontNginx, FrontPlace,
    workers,
};
use nix::unistd::Uid;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::authority::{Authority, HTTP_1, HTTP_2};
use crate::doors::{Process, in_user_namespace};
use crate::rig::{Application, Message, Peer, header, ok};

const ONE: &str = "550e8400-e29b-41d4-a716-446655440000";
const TWO: &str = "650e8400-e29b-41d4-a716-446655440000";

fn org(id: &str) -> String {
    format!("org-{id}.dev.test")
}

fn environment(name: &str, created_ms: u64, served: &[(&str, u32)]) -> FrontEnvironment {
    let name = EnvName::parse(name).unwrap();
    let organizations = served
        .iter()
        .map(|(id, number)| (id.parse().unwrap(), GatewayName::new(&name, *number)));
    FrontEnvironment {
        organizations: organizations.collect(),
        created_ms,
        domain: RouteName::parse("dev.test").unwrap(),
        apex: None,
        ganymede: None,
        name,
    }
}

struct Front {
    authority: Authority,
    certificates: Vec<CertificateFiles>,
    table: FrontTable,
    nginx: FrontNginx<Process>,
    https: SocketAddr,
    http: SocketAddr,
    dir: TempDir,
}

/// A port that nobody listens on at this moment.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

impl Front {
    async fn open(environments: Vec<FrontEnvironment>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // nginx's workers are another user's.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::new();
        let mut certificates = Vec::new();
        let of_one = format!("*.{}", org(ONE));
        for (file, names) in [
            (
                "level",
                vec!["dev.test".to_owned(), "*.dev.test".to_owned()],
            ),
            ("one", vec![of_one]),
        ] {
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let (chain, key) = authority.pem(&all);
            let (at, secret) = (
                dir.path().join(file),
                dir.path().join(format!("{file}.key")),
            );
            std::fs::write(&at, chain).unwrap();
            std::fs::write(&secret, key).unwrap();
            certificates.push(CertificateFiles {
                names,
                chain: at,
                key: secret,
            });
        }
        let (https, http) = (free().await, free().await);
        let listen = FrontListen {
            https: vec![https],
            http: vec![http],
            https_port: 8443,
            workers_as_root: !Uid::effective().is_root() || in_user_namespace(),
        };
        let place = FrontPlace::new(&dir.path().join("a front")).unwrap();
        let process = Process::default();
        let nginx = FrontNginx::new(listen, place.clone(), process.clone());
        let table = FrontTable::new(environments, []);
        let followed = nginx.follow(&table, &certificates).await.unwrap();
        assert!(followed.refused.is_empty(), "{followed:?}");
        process.start(place.dir(), &place.config()).await;
        Self {
            authority,
            certificates,
            table,
            nginx,
            https,
            http,
            dir,
        }
    }

    async fn change(&mut self, change: FrontChange) -> FrontFollowed {
        self.table.apply(change);
        self.follow().await.unwrap()
    }

    async fn follow(&self) -> Result<FrontFollowed, FollowError> {
        self.nginx.follow(&self.table, &self.certificates).await
    }

    async fn say(&mut self, gateway: &str, standing: Standing) -> FrontFollowed {
        let change = FrontChange::Gateway {
            gateway: gateway.parse().unwrap(),
            known: Some(FrontGateway {
                standing,
                build: Some("0123456789ab".parse().unwrap()),
            }),
        };
        self.change(change).await
    }

    async fn connect(&self, name: &str, protocol: &[u8]) -> std::io::Result<Peer> {
        let stream = TcpStream::connect(self.https).await.unwrap();
        let connector = self.authority.connector(&[protocol]);
        let server = ServerName::try_from(name.to_owned()).unwrap();
        let mut peer = Peer::new(connector.connect(server, stream).await?);
        name.clone_into(&mut peer.host);
        Ok(peer)
    }

    async fn ask(&self, host: &str, path: &str) -> Message {
        let mut client = self.connect(host, HTTP_1).await.unwrap();
        client.ask("GET", path).await;
        client.message().await
    }
}

fn at(address: SocketAddr) -> Standing {
    Standing::At { address, life: 0 }
}

#[tokio::test]
async fn organizations_and_their_containers_lead_to_their_gateway() {
    let application = Application::answering(ok).await;
    let mut front = Front::open(vec![environment("dev", 1, &[(ONE, 0)])]).await;
    front.say("gw-pool-dev-0", at(application.addr)).await;
    for host in [
        org(ONE),
        format!("uc-{TWO}.{}", org(ONE)),
        format!("uc-{TWO}--web.{}", org(ONE)),
    ] {
        let seen = front.ask(&host, "/a?b").await.body;
        assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n"), "{seen}");
        for (name, expected) in [
            ("host", host.as_str()),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", &host),
            ("x-forwarded-port", "443"),
        ] {
            assert_eq!(header(&seen, name), Some(expected), "{name} in {seen}");
        }
    }
    // The name in a request counts, however it is written.
    let mut client = front.connect(&org(ONE), HTTP_1).await.unwrap();
    client.host = format!("{}.:8443", org(ONE).to_uppercase());
    client.ask("GET", "/").await;
    let seen = client.message().await.body;
    assert_eq!(header(&seen, "x-forwarded-port"), Some("8443"), "{seen}");
    for host in [org(TWO), "www.dev.test".into(), "dev.test".into()] {
        let answer = front.ask(&host, "/").await;
        assert_eq!(answer.status(), 404, "{host}");
        assert!(answer.body.contains("nobody serves"), "{}", answer.body);
    }
    assert!(front.connect("other.test", HTTP_1).await.is_err());
    assert!(front.connect(&org(ONE), HTTP_2).await.is_ok());
}

#[tokio::test]
async fn http_leads_to_https_where_a_name_is_served() {
    let front = Front::open(vec![environment("dev", 1, &[(ONE, 0)])]).await;
    let served = format!("https://{}:8443/a?b", org(ONE));
    for (host, status, location) in [
        (org(ONE), 308, Some(served.as_str())),
        (format!("{}.:80", org(ONE)), 308, Some(served.as_str())),
        (org(TWO), 404, None),
        ("other.test".into(), 404, None),
    ] {
        let mut client = Peer::new(TcpStream::connect(front.http).await.unwrap());
        client.host.clone_from(&host);
        client.ask("GET", "/a?b").await;
        let answer = client.message().await;
        assert_eq!(answer.status(), status, "{host}");
        assert_eq!(answer.header("location"), location, "{host}");
    }
}

#[tokio::test]
async fn two_environments_on_a_domain_share_it_and_the_first_has_the_sites() {
    let one = Application::answering(|_| ok("one")).await;
    let two = Application::answering(|_| ok("two")).await;
    let site = tempfile::tempdir().unwrap();
    std::fs::set_permissions(site.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(site.path().join("index.html"), "<h1>apex</h1>").unwrap();
    std::fs::write(site.path().join(".env"), "SECRET").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", site.path().join("out")).unwrap();
    // Its name comes later in the alphabet, and it was there before.
    let mut first = environment("z", 1, &[(ONE, 0)]);
    first.apex = Some(Site::Folder(site.path().to_owned()));
    first.ganymede = Some(Site::Upstream(two.addr));
    let mut second = environment("a", 2, &[(ONE, 0), (TWO, 0)]);
    second.apex = Some(Site::Upstream(two.addr));
    let mut front = Front::open(vec![first, second]).await;
    front.say("gw-pool-z-0", at(one.addr)).await;
    front.say("gw-pool-a-0", at(two.addr)).await;
    assert_eq!(front.ask(&org(ONE), "/").await.body, "one");
    assert_eq!(front.ask(&org(TWO), "/").await.body, "two");
    assert_eq!(front.ask("ganymede.dev.test", "/").await.body, "two");
    assert_eq!(front.ask("dev.test", "/").await.body, "<h1>apex</h1>");
    for hidden in ["/.env", "/out", "/../etc/passwd"] {
        let answer = front.ask("dev.test", hidden).await;
        assert!([400, 404].contains(&answer.status()), "{hidden}");
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_named_with_its_build() {
    let mut front = Front::open(vec![environment("dev", 1, &[(ONE, 0)])]).await;
    let closed = free().await;
    for (standing, status, why) in [
        (Standing::Starting, 503, "is being started"),
        (
            Standing::Stopped("by hand".into()),
            503,
            "does not run: by hand",
        ),
        (at(closed), 502, "did not answer"),
    ] {
        front.say("gw-pool-dev-0", standing).await;
        let answer = front.ask(&org(ONE), "/").await;
        assert_eq!(answer.status(), status, "{}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("2"));
        for fact in ["gw-pool-dev-0", "0123456789ab", why] {
            assert!(answer.body.contains(fact), "{fact} in {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_certificate_that_nginx_refuses_is_its_environment_s_own_trouble() {
    let application = Application::answering(|_| ok("hello")).await;
    let mut front = Front::open(vec![environment("a", 1, &[(ONE, 0)])]).await;
    front.say("gw-pool-a-0", at(application.addr)).await;
    // It is asked for by names that are served and by those that are not.
    let torn = front.dir.path().join("torn");
    std::fs::write(&torn, "no certificate").unwrap();
    front.certificates.push(CertificateFiles {
        names: vec!["other.test".to_owned(), "*.other.test".to_owned()],
        chain: torn.clone(),
        key: torn.clone(),
    });
    let other = FrontEnvironment {
        domain: RouteName::parse("other.test").unwrap(),
        ..environment("b", 2, &[(TWO, 0)])
    };
    let followed = front.change(FrontChange::Environment(other)).await;
    let refused: Vec<_> = followed.refused.keys().map(EnvName::as_str).collect();
    assert_eq!(refused, ["b"], "{followed:?}");
    front.say("gw-pool-a-0", Standing::Starting).await;
    assert_eq!(front.ask(&org(ONE), "/").await.status(), 503);
    assert!(front.nginx.reads(&front.certificates[0].chain).await);
    assert!(!front.nginx.reads(&torn).await);
}

#[tokio::test]
async fn an_environment_that_nginx_refuses_stays_and_the_others_go_on() {
    let old = Application::answering(|_| ok("old")).await;
    let new = Application::answering(|_| ok("new")).await;
    let both = vec![
        environment("a", 1, &[(ONE, 0)]),
        environment("b", 2, &[(TWO, 0)]),
    ];
    let mut front = Front::open(both).await;
    front.say("gw-pool-a-0", at(old.addr)).await;
    front.say("gw-pool-b-0", at(old.addr)).await;
    // An address with a zone, which nginx cannot read.
    let zoned = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 7);
    let followed = front.say("gw-pool-a-0", at(zoned.into())).await;
    assert_eq!(followed.followed, Followed::Unchanged);
    assert!(
        followed.refused[&EnvName::parse("a").unwrap()].contains("fe80"),
        "{followed:?}"
    );
    // What was refused is kept, and what is said of it names where.
    let kept = front.dir.path().join("a front/refused/a.conf");
    let said = &followed.refused[&EnvName::parse("a").unwrap()];
    assert!(said.contains(&kept.display().to_string()), "{said}");
    assert!(std::fs::read_to_string(&kept).unwrap().contains("fe80"));
    let followed = front.say("gw-pool-b-0", at(new.addr)).await;
    assert_eq!(followed.followed, Followed::Changed);
    assert_eq!(followed.refused.len(), 1);
    assert_eq!(front.ask(&org(ONE), "/").await.body, "old");
    assert_eq!(front.ask(&org(TWO), "/").await.body, "new");
    let followed = front.say("gw-pool-a-0", at(new.addr)).await;
    assert!(followed.refused.is_empty());
    assert!(!kept.exists());
    assert_eq!(front.ask(&org(ONE), "/").await.body, "new");
    // One that is gone leaves nothing behind.
    front
        .change(FrontChange::EnvironmentGone("a".parse().unwrap()))
        .await;
    let files = std::fs::read_dir(front.dir.path().join("a front/envs")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["b.conf"]);
    assert_eq!(front.ask(&org(ONE), "/").await.status(), 404);
}

#[tokio::test]
async fn the_same_table_reloads_nothing_and_a_change_drops_no_websocket() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
        while let Some(line) = peer.until("\n").await {
            peer.send(&line).await;
        }
    })
    .await;
    let mut front = Front::open(vec![environment("dev", 1, &[(ONE, 0)])]).await;
    front.say("gw-pool-dev-0", at(application.addr)).await;
    let before = workers(front.nginx.master().pid());
    assert_eq!(front.follow().await.unwrap().followed, Followed::Unchanged);
    // One from before may be about to end; none has come.
    let after = workers(front.nginx.master().pid());
    assert!(after.iter().all(|pid| before.contains(pid)), "{after:?}");
    let mut socket = front.connect(&org(ONE), HTTP_1).await.unwrap();
    socket
        .send(&format!(
            "GET / HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
            org(ONE)
        ))
        .await;
    assert!(socket.head().await.unwrap().starts_with("HTTP/1.1 101 "));
    let changed = front.say("gw-pool-dev-0", Standing::Starting).await;
    assert_eq!(changed.followed, Followed::Changed);
    socket.send("still there\n").await;
    assert_eq!(socket.until("\n").await.as_deref(), Some("still there\n"));
}
