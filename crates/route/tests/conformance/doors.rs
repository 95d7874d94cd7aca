//! A door by either driver, as the agent opens it, and the host's front door.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::{BuildId, DoorCard, GatewayName, RouteTable};
use lockgate_route::{
    Asked, Decision, EmbeddedProxy, EmbeddedRoutes, FollowError, Followed, ForwardedHeaders,
    Lookup, Master, NginxDoor, NginxListen, NginxProxy, Owner, Place, Proxy, Shown, Table,
    Unavailable, Upstream, await_reload, owner, workers,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fronts::{self, Front};
use crate::rig::{Message, Peer, soon};

pub(crate) const BUILD: &str = "0123456789ab";
pub(crate) const GATEWAY: &str = "gw-pool-dev-001-0";

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Embedded,
    Nginx,
    /// The front door by TLS, in the gateway's place.
    Front,
}

/// Makes a test at each door of an `async fn NAME(driver: Driver)`.
macro_rules! at_both_doors {
    ($($name:ident)*) => { $(
        mod $name {
            use crate::doors::Driver;

            #[tokio::test]
            async fn embedded() {
                super::$name(Driver::Embedded).await;
            }

            #[tokio::test]
            async fn nginx() {
                super::$name(Driver::Nginx).await;
            }
        }
    )* };
}
pub(crate) use at_both_doors;

/// Makes a test at each door, the front door too.
macro_rules! at_all_doors {
    ($($name:ident)*) => { $(
        mod $name {
            use crate::doors::Driver;

            #[tokio::test]
            async fn embedded() {
                super::$name(Driver::Embedded).await;
            }

            #[tokio::test]
            async fn nginx() {
                super::$name(Driver::Nginx).await;
            }

            #[tokio::test]
            async fn front() {
                super::$name(Driver::Front).await;
            }
        }
    )* };
}
pub(crate) use at_all_doors;

/// What serves.
enum Served {
    Embedded(EmbeddedRoutes),
    Nginx(NginxProxy<Process>),
    Front(Box<Front>),
}

/// An open door on free ports.
pub(crate) struct Door {
    /// Where clients ask.
    pub(crate) addr: SocketAddr,
    /// All its addresses.
    pub(crate) addrs: Vec<SocketAddr>,
    /// A name that leads to the application.
    pub(crate) host: String,
    table: Table,
    served: Served,
    /// What an embedded door knows of its application.
    application: watch::Sender<Result<SocketAddr, String>>,
    stop: CancellationToken,
    place: Place,
    _dir: tempfile::TempDir,
}

impl Door {
    pub(crate) async fn open(driver: Driver, application: SocketAddr) -> Self {
        Self::open_as(driver, application, [ForwardedHeaders::Replace]).await
    }

    /// A door with a port for each of these.
    pub(crate) async fn open_as<const PORTS: usize>(
        driver: Driver,
        application: SocketAddr,
        forwarded: [ForwardedHeaders; PORTS],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // nginx's workers are another user's.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place::new(&dir.path().join("a door")).unwrap();
        let mut listeners = Vec::new();
        let mut addrs = Vec::new();
        for rule in forwarded {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addrs.push(listener.local_addr().unwrap());
            listeners.push((listener, rule));
        }
        let table = Table {
            application,
            routes: RouteTable::default(),
        };
        let (sender, watched) = watch::channel(Ok(application));
        let stop = CancellationToken::new();
        let served = match driver {
            Driver::Embedded => embedded(listeners, watched, &stop),
            Driver::Nginx => {
                drop(listeners);
                let listen = addrs.iter().zip(forwarded);
                let listen = listen.map(|(&addr, forwarded)| NginxListen { addr, forwarded });
                nginx(listen.collect(), &place, &table).await
            }
            Driver::Front => {
                let (listener, _) = listeners.remove(0);
                Served::Front(Box::new(Front::open(listener, application, &stop)))
            }
        };
        let host = match &served {
            Served::Embedded(_) | Served::Nginx(_) => "door.test".to_owned(),
            Served::Front(_) => fronts::host(),
        };
        Self {
            addr: addrs[0],
            addrs,
            host,
            table,
            served,
            application: sender,
            stop,
            place,
            _dir: dir,
        }
    }

    pub(crate) async fn set_routes(&mut self, lines: &str) -> Followed {
        self.table.routes = RouteTable::parse(lines).unwrap();
        self.follow().await.unwrap()
    }

    /// Follows a table that leads to another application.
    pub(crate) async fn follow_to(&mut self, addr: SocketAddr) -> Result<Followed, FollowError> {
        let before = self.table.application;
        self.table.application = addr;
        let followed = self.follow().await;
        if followed.is_err() {
            self.table.application = before;
        }
        followed
    }

    async fn follow(&self) -> Result<Followed, FollowError> {
        match &self.served {
            Served::Embedded(routes) => routes.follow(&self.table).await,
            Served::Nginx(nginx) => nginx.follow(&self.table).await,
            Served::Front(_) => unreachable!("a front door follows no gateway's table"),
        }
    }

    /// The application will not answer soon, or will again.
    pub(crate) fn say_unavailable(&self, why: Option<&str>) {
        let known = match why {
            Some(why) => Err(why.to_owned()),
            None => Ok(self.table.application),
        };
        if let Served::Front(front) = &self.served {
            front.say(why, self.table.application);
        }
        self.place.show(&shown(why)).unwrap_or_default();
        drop(self.application.send_replace(known));
    }

    pub(crate) async fn client(&self) -> Peer {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let mut client = match &self.served {
            Served::Embedded(_) | Served::Nginx(_) => Peer::new(stream),
            Served::Front(front) => Peer::new(front.secure(stream).await),
        };
        client.host.clone_from(&self.host);
        client
    }

    /// The scheme by which clients ask.
    pub(crate) fn scheme(&self) -> &'static str {
        match &self.served {
            Served::Embedded(_) | Served::Nginx(_) => "http",
            Served::Front(_) => "https",
        }
    }

    /// Sends lines on a connection of their own; the answer.
    pub(crate) async fn say(&self, lines: &[&str]) -> Message {
        let mut client = self.client().await;
        client
            .send(&format!("{}\r\n\r\n", lines.join("\r\n")))
            .await;
        client.message().await
    }

    pub(crate) async fn ask(&self, path: &str) -> Message {
        let host = format!("host: {}", self.host);
        self.say(&[&format!("GET {path} HTTP/1.1"), &host]).await
    }

    /// The most memory that what serves has ever taken, in bytes.
    pub(crate) fn peak_bytes(&self) -> usize {
        let pids = match &self.served {
            Served::Embedded(_) | Served::Front(_) => {
                vec![i32::try_from(std::process::id()).unwrap()]
            }
            Served::Nginx(nginx) => workers(nginx.master().pid()),
        };
        pids.into_iter().map(peak).sum()
    }

    /// The configuration that counts.
    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(self.place.config()).unwrap()
    }

    /// The processes that serve now.
    pub(crate) fn workers(&self) -> Vec<i32> {
        match &self.served {
            Served::Embedded(_) | Served::Front(_) => Vec::new(),
            Served::Nginx(nginx) => workers(nginx.master().pid()),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn peak(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let kb = line.unwrap().trim().trim_end_matches(" kB");
    kb.parse::<usize>().unwrap() * 1024
}

fn shown(why: Option<&str>) -> Shown {
    Shown {
        gateway: GatewayName::parse(GATEWAY).unwrap(),
        build: Some(BuildId::parse(BUILD).unwrap()),
        unavailable: why.map(unavailable),
        why: "the application did not answer".to_owned(),
    }
}

fn unavailable(why: &str) -> Unavailable {
    Unavailable {
        gateway: Some(GatewayName::parse(GATEWAY).unwrap()),
        build: Some(BuildId::parse(BUILD).unwrap()),
        why: why.to_owned(),
        retry_after: Duration::from_secs(2),
    }
}

fn embedded(
    listeners: Vec<(TcpListener, ForwardedHeaders)>,
    application: watch::Receiver<Result<SocketAddr, String>>,
    stop: &CancellationToken,
) -> Served {
    let routes = EmbeddedRoutes::new(RouteTable::default());
    let lookup = Lookup::watching_both(application, routes.watch(), decide);
    let card = || DoorCard {
        gateway: GatewayName::parse(GATEWAY).unwrap(),
        build: Some(BuildId::parse(BUILD).unwrap()),
    };
    for (listener, forwarded) in listeners {
        let proxy = EmbeddedProxy::new(lookup.clone())
            .forwarded(forwarded)
            .introduced_by(card);
        tokio::spawn(proxy.serve(listener, stop.clone()));
    }
    Served::Embedded(routes)
}

fn decide(
    application: &Result<SocketAddr, String>,
    routes: &RouteTable,
    asked: &Asked<'_>,
) -> Decision {
    let to = |addr, build: Option<&str>| {
        Decision::To(Upstream {
            addr,
            gateway: build.map(|_| GatewayName::parse(GATEWAY).unwrap()),
            build: build.map(|build| BuildId::parse(build).unwrap()),
            epoch: 0,
            leaves: false,
        })
    };
    match (owner(routes, asked.host), application) {
        (Owner::Container(addr), _) => to(addr, None),
        (Owner::Nobody, _) => Decision::NotFound,
        (Owner::Application, Ok(addr)) => to(*addr, Some(BUILD)),
        (Owner::Application, Err(why)) => Decision::Unavailable(unavailable(why)),
    }
}

async fn nginx(listen: Vec<NginxListen>, place: &Place, table: &Table) -> Served {
    place
        .prepare(&GatewayName::parse(GATEWAY).unwrap())
        .unwrap();
    place
        .point_to(Some(&BuildId::parse(BUILD).unwrap()))
        .unwrap();
    place.show(&shown(None)).unwrap();
    let door = NginxDoor {
        listen,
        workers_as_root: !Uid::effective().is_root() || in_user_namespace(),
    };
    let process = Process::default();
    let nginx = NginxProxy::new(door, place.clone(), process.clone());
    assert_eq!(nginx.follow(table).await.unwrap(), Followed::Changed);
    process.start(place.dir(), &place.config()).await;
    Served::Nginx(nginx)
}

/// nginx's process. It ends with the last clone.
#[derive(Clone, Default)]
pub(crate) struct Process {
    child: Arc<std::sync::Mutex<Option<Running>>>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Its workers end with it.
        let _ = kill(Pid::from_raw(pid_of(&self.0)), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

impl Process {
    pub(crate) async fn start(&self, dir: &Path, config: &Path) {
        let child = nginx_command(dir, config)
            .spawn()
            .expect("nginx must be installed");
        let pid = pid_of(&child);
        *self.child.lock().unwrap() = Some(Running(child));
        soon("nginx serves", async {
            while workers(pid).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub(crate) fn pid(&self) -> i32 {
        self.running().expect("nginx runs")
    }

    fn running(&self) -> Option<i32> {
        let child = self.child.lock().unwrap();
        child.as_ref().map(|running| pid_of(&running.0))
    }
}

impl Master for Process {
    async fn test(&self, config: &Path) -> Result<(), String> {
        let folder = config.parent().unwrap();
        let mut command = nginx_command(folder, config);
        let output = command.args(["-t", "-q"]).stderr(Stdio::piped()).output();
        let output = output.expect("nginx must be installed");
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }

    async fn reload(&self) -> Result<(), String> {
        if let Some(pid) = self.running() {
            let before = workers(pid);
            kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
            await_reload(pid, &before).await;
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the program it tests"
)]
fn nginx_command(folder: &Path, config: &Path) -> Command {
    let mut command = Command::new("nginx");
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    command
        .env("PATH", path)
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(config)
        .stdin(Stdio::null());
    command
}

/// Runs the calling test again where the VPN's addresses are this machine's own: in a
/// network of its own. False where that was done, and there is nothing left to do.
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts itself once more, in another place"
)]
pub(crate) fn in_a_vpn() -> bool {
    const INSIDE: &str = "LOCKGATE_TEST_INSIDE_VPN";
    if std::env::var(INSIDE).is_ok() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let status = command
        .args(["sh", "-c", "ip link set lo up && ip address add 172.16.0.6/16 dev lo && ip address add 172.16.0.1/16 dev lo && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .status();
    assert!(
        status.unwrap().success(),
        "{test} failed in its own network"
    );
    false
}

pub(crate) fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().nth(2) == Some("1")
}
