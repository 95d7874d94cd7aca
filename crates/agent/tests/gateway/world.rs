//! A real agent, a real build server and a small application, in a folder of their own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use lockgate_builds::pack::{PackSource, Packed, Part, Provenance, pack};
use lockgate_builds::serve::{BuildServer, Notice, Reach, Reports};
use lockgate_builds::sign::SigningKey;
use lockgate_builds::store::Store;
use lockgate_model::{AppSettings, BuildId, Digest, EnvName, GatewayName, Limits, Statement};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::Digest as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::application::application;

/// Nothing in these tests takes longer on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
const TOKEN: &str = "t0ken-of-this-gateway";

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) gateway: GatewayName,
    key: SigningKey,
    pub(crate) store: Store,
    notice: Notice,
    pub(crate) reports: Reports,
    server: Option<(CancellationToken, JoinHandle<()>)>,
    pub(crate) server_address: SocketAddr,
    pub(crate) door_port: u16,
    agent: Option<(Child, Option<ChildStdin>)>,
    seq: u64,
    pub(crate) settings: AppSettings,
    /// Where the application's first socket is held: any port, unless a test says.
    pub(crate) app_address: SocketAddr,
    /// Other values of the agent's variables; an empty one takes the variable away.
    pub(crate) vars: Vec<(&'static str, String)>,
}

/// A port that was free a moment ago, below those that the kernel gives to whoever connects: one of
/// these could be taken before it is used. Each process begins its search elsewhere.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 1000).unwrap() * 16;
    loop {
        let port = 14_000 + own + NEXT.fetch_add(1, Ordering::Relaxed) % 2000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = EnvName::parse("dev-001").unwrap();
        let gateway = GatewayName::new(&env, 0);
        let store = Store::open(&dir.path().join("builds")).unwrap();
        let digest = Digest::from_bytes(sha2::Sha256::digest(TOKEN.as_bytes()).into());
        store.admit(&gateway, &digest).unwrap();
        let token = dir.path().join("token");
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let settings = AppSettings {
            command: ["node", "main.js"].map(str::to_owned).to_vec(),
            limits: Limits {
                trial: Duration::from_millis(500),
                crash_delay: Duration::from_millis(300),
                grace: Duration::from_secs(5),
                ..Limits::default()
            },
            ..AppSettings::default()
        };
        let mut world = Self {
            gateway,
            key: SigningKey::generate().unwrap(),
            store,
            notice: Notice::default(),
            reports: Reports::default(),
            server: None,
            server_address: ([127, 0, 0, 1], 0).into(),
            door_port: free_port(),
            agent: None,
            seq: 1,
            settings,
            app_address: ([127, 0, 0, 1], 0).into(),
            vars: Vec::new(),
            dir,
        };
        world.start_server().await;
        world
    }

    /// A world whose gateway's door is nginx.
    pub(crate) async fn behind_nginx() -> Self {
        let mut world = Self::new().await;
        world.vars.push(("LOCKGATE_DOOR", "nginx".to_owned()));
        // As in a container, where the port is known from the start: nginx needs no
        // reload when the socket is held.
        world.app_address.set_port(free_port());
        // nginx's workers are another user's.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.dir.path(), open).unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Wakes waiting queries.
    pub(crate) fn ring(&self) {
        self.notice.ring();
    }

    // The build server.

    pub(crate) async fn start_server(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.server_address)
            .await
            .unwrap();
        self.server_address = listener.local_addr().unwrap();
        // As after a restart of the program: it knows no report any more.
        self.reports = Reports::default();
        let server = Arc::new(BuildServer::new(
            self.store.clone(),
            self.reports.clone(),
            self.notice.clone(),
            "lockgate/test".to_owned(),
        ));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            server
                .serve(listener, Reach::Loopback, stopped)
                .await
                .unwrap();
        });
        self.server = Some((stop, task));
    }

    pub(crate) async fn stop_server(&mut self) {
        let (stop, task) = self.server.take().unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    // Builds.

    /// Packs an application whose main.js is this.
    pub(crate) fn pack(&self, main_js: &str) -> Packed {
        let workspace = self.path("workspace");
        fs::create_dir_all(workspace.join("dist")).unwrap();
        fs::write(workspace.join("dist/main.js"), main_js).unwrap();
        let source = PackSource {
            env: self.gateway.env(),
            workspace,
            parts: [("dist", "app-gateway", true), ("app", "app", false)]
                .map(|(from, to, required)| Part {
                    from: from.into(),
                    to: to.to_owned(),
                    required,
                })
                .into(),
        };
        let provenance = Provenance {
            built_at: UNIX_EPOCH,
            commit: None,
            branch: None,
            dirty: None,
            node_version: None,
            tool: "test".to_owned(),
        };
        pack(&source, &provenance, true, &self.store).unwrap()
    }

    /// States that the gateway shall run this build, and says so to who waits. Gives
    /// the statement's number.
    pub(crate) fn state(&mut self, packed: &Packed, change: impl FnOnce(&mut Statement)) -> u64 {
        let seq = self.state_silently(packed, change);
        self.notice.ring();
        seq
    }

    /// As [`state`](Self::state), but no waiting query is woken.
    pub(crate) fn state_silently(
        &mut self,
        packed: &Packed,
        change: impl FnOnce(&mut Statement),
    ) -> u64 {
        self.seq += 1;
        let mut statement = Statement {
            env: self.gateway.env(),
            gateway: self.gateway.clone(),
            build: packed.manifest.build.clone(),
            manifest: packed.manifest_digest.clone(),
            run: true,
            restart: 0,
            organization: None,
            vpn_allow: Vec::new(),
            settings: self.settings.clone(),
            previous: None,
            key_id: self.key.public().id(),
            seq: self.seq,
            issued_at: 0,
        };
        change(&mut statement);
        let signed = self.key.sign(&statement).unwrap();
        self.store
            .put_statement(&self.gateway, self.seq, &signed)
            .unwrap();
        self.seq
    }

    /// Packs and states a build that answers this version.
    pub(crate) fn deploy(&mut self, version: &str) -> (BuildId, u64) {
        let packed = self.pack(&application(version));
        let seq = self.state(&packed, |_| {});
        (packed.manifest.build, seq)
    }

    /// Deploys and waits until it runs.
    pub(crate) async fn deploy_and_wait(&mut self, version: &str) -> BuildId {
        let (build, seq) = self.deploy(version);
        let report = self.settled(seq).await;
        assert_eq!(report.refused, None, "{}", self.told());
        assert_eq!(
            report.running.map(|running| running.build),
            Some(build.clone())
        );
        assert_eq!(self.hello().await.version, version);
        build
    }

    // The agent.

    #[expect(
        clippy::disallowed_methods,
        reason = "the test starts the program it tests"
    )]
    pub(crate) fn command(&self, launcher: &[&str]) -> Command {
        let agent = env!("CARGO_BIN_EXE_lockgate-agent");
        let mut words = launcher.iter().chain([&agent]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        let public = self.key.public().to_line();
        let at = |name: &str| self.path(name).display().to_string();
        command.env_clear().envs([
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("ENV_NAME", self.gateway.env().to_string()),
            ("GATEWAY_HTTP_PORT", self.door_port.to_string()),
            ("GATEWAY_VPN_PORT", "49100".to_owned()),
            (
                "GATEWAY_ID",
                "550e8400-e29b-41d4-a716-446655440000".to_owned(),
            ),
            ("GATEWAY_TOKEN", "a.b.c".to_owned()),
            ("GANYMEDE_FQDN", "ganymede.localhost".to_owned()),
            ("DOMAIN", "localhost".to_owned()),
            ("GATEWAY_ROOT", at("opt/gateway")),
            ("LOG_FILE", at("gateway.log")),
            ("LOCKGATE_GATEWAY", self.gateway.to_string()),
            // Nobody listens on the first: the next one is asked.
            (
                "LOCKGATE_SERVER",
                format!("http://127.0.0.1:1, http://{}", self.server_address),
            ),
            // Nothing lies there unless a test puts it there.
            ("LOCKGATE_SERVERS_FILE", at("servers")),
            ("LOCKGATE_KEY", public),
            ("LOCKGATE_TOKEN_FILE", at("token")),
            ("LOCKGATE_RELEASES", at("lockgate/releases")),
            ("LOCKGATE_SOCKET", at("agent.sock")),
            ("LOCKGATE_APP_ADDRESS", self.app_address.to_string()),
            ("LOCKGATE_DOOR_IP", "127.0.0.1".to_owned()),
        ]);
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn start_agent(&mut self) {
        self.start_agent_below(&[]);
    }

    /// Starts the agent as the last words of another program's arguments.
    pub(crate) fn start_agent_below(&mut self, launcher: &[&str]) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("agent.log"))
            .unwrap();
        let child = self
            .command(launcher)
            .args(["run", "--stop-on-stdin-eof"])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.adopt(child);
    }

    /// Takes care of an agent that the test started.
    pub(crate) fn adopt(&mut self, mut child: Child) {
        let stdin = child.stdin.take();
        self.agent = Some((child, stdin));
    }

    pub(crate) fn agent_pid(&self) -> i32 {
        i32::try_from(self.agent.as_ref().unwrap().0.id()).unwrap()
    }

    pub(crate) fn signal_agent(&self, signal: Signal) {
        kill(Pid::from_raw(self.agent_pid()), signal).unwrap();
    }

    /// Sends a signal to the agent and waits for its end; gives its exit code.
    pub(crate) async fn end_agent(&mut self, signal: Signal) -> Option<i32> {
        self.signal_agent(signal);
        self.agent_ended().await
    }

    /// Lets go of the agent's stdin and waits for its end.
    pub(crate) async fn close_stdin(&mut self) -> Option<i32> {
        self.agent.as_mut().unwrap().1 = None;
        self.agent_ended().await
    }

    /// Waits for the end of an agent that was told; gives its exit code.
    pub(crate) async fn agent_ended(&mut self) -> Option<i32> {
        let (mut child, _stdin) = self.agent.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let status = tokio::time::timeout(DEADLINE, ended).await;
        status
            .unwrap_or_else(|_| panic!("the agent did not end\n{}", self.told()))
            .unwrap()
            .code()
    }

    /// Runs a command of the agent's program, off this thread: the build server runs
    /// on it.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Output {
        self.ask_with(arguments, &[]).await
    }

    /// As [`ask`](Self::ask), with other values of some variables.
    pub(crate) async fn ask_with(&self, arguments: &[&str], vars: &[(&str, &str)]) -> Output {
        let mut command = self.command(&[]);
        command.args(arguments).envs(vars.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Some((child, _)) = &mut self.agent else {
            return;
        };
        // A killed agent's nginx is ended by the next one, and there is none.
        if self.vars.iter().any(|(_, value)| value == "nginx") {
            let pid = i32::try_from(child.id()).unwrap_or_default();
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            for _ in 0..500 {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}
