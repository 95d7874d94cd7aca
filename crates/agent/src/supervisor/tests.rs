//! Real processes under the real driver.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Shared};
use std::time::Duration;

use lockgate_model::{AppSettings, BuildId, Phase};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Handle, Kind, Snapshot, Supervisor, SupervisorConfig, Target};

mod acts;
mod failing;
mod gated;
mod memory;
mod sockets;

/// A supervisor takes in every child of its process: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// An application that answers with its build's name, and closes on TERM.
const SERVER: &str = "
const server = require('http').createServer((request, response) => {
  if (request.url === '/slow') console.log('slow request');
  const body = `${process.env.BUILD} ${process.pid}`;
  setTimeout(() => response.end(body), request.url === '/slow' ? 300 : 0);
});
server.listen(8888, '127.0.0.1', () => console.log('listening', server.address().port));
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
";

struct Bench {
    folder: tempfile::TempDir,
    handle: Handle,
    ended: JoinHandle<()>,
    snapshots: watch::Receiver<Snapshot>,
    swapped: Arc<Shared<Vec<String>>>,
    /// The major version of Node that was asked for.
    node: Option<u32>,
    _alone: MutexGuard<'static, ()>,
}

/// The program with `exec-step`, which is built beside the tests.
fn agent() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    let agent = built.join("lockgate-agent");
    assert!(agent.exists(), "{} is not built", agent.display());
    agent
}

impl Bench {
    async fn new() -> Self {
        Self::inheriting(&[]).await
    }

    /// A bench whose agent has these variables, too.
    async fn inheriting(variables: &[(&str, &str)]) -> Self {
        let own = variables.iter().map(|(name, it)| (name.into(), it.into()));
        let alone = ALONE.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let swapped = Arc::new(Shared::new(Vec::new()));
        let swaps = Arc::clone(&swapped);
        let (handle, ended) = Supervisor::start(SupervisorConfig {
            kind: Kind::Application,
            state_dir: folder.path().join("state"),
            log_file: folder.path().join("gateway.log"),
            copy_to_stdout: false,
            app_address: Some("127.0.0.1:0".parse().unwrap()),
            environment: std::env::vars_os().chain(own).collect(),
            authority: None,
            exec_step: agent(),
            open_files: None,
            swap: Box::new(move |target| {
                swaps.lock().unwrap().push(target.build.to_string());
                Ok(())
            }),
            good: None,
            refused: None,
        })
        .unwrap();
        let snapshots = handle.watch();
        Self {
            folder,
            handle,
            ended,
            snapshots,
            swapped,
            node: None,
            _alone: alone,
        }
    }

    /// A bench on which `node` is the one of this version that the preload's tests use.
    async fn on_node(major: u32) -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload-tests");
        let folder = tests.join(format!("node_modules/node{major}/bin"));
        assert!(
            folder.join("node").exists(),
            "{} has no Node: run `just nodes`",
            folder.display()
        );
        let mut vars = std::env::vars();
        let path = vars.find(|(name, _)| name == "PATH");
        let path = path.map_or(String::new(), |(_, path)| path);
        let path = format!("{}:{path}", folder.display());
        let mut bench = Self::inheriting(&[("PATH", &path)]).await;
        bench.node = Some(major);
        bench
    }

    /// Fails unless the application has said that its Node is the one asked for.
    fn expect_node(&self) {
        if let Some(major) = self.node {
            let said = format!("out node v{major}.");
            assert!(self.log().contains(&said), "{said}\n{}", self.log());
        }
    }

    /// A release that runs this with `node -e`, or with `sh -c`.
    fn target(&self, build: char, seq: u64, program: &str, script: &str) -> Target {
        let build = BuildId::parse(&build.to_string().repeat(12)).unwrap();
        let release = self.folder.path().join("releases").join(build.as_str());
        std::fs::create_dir_all(&release).unwrap();
        let flag = if program == "node" { "-e" } else { "-c" };
        let mut settings = AppSettings {
            command: [program, flag, script].map(String::from).to_vec(),
            cwd: ".".to_owned(),
            ..AppSettings::default()
        };
        settings.env.insert("BUILD".into(), build.to_string());
        settings.limits.crash_delay = Duration::from_millis(200);
        settings.limits.grace = Duration::from_secs(3);
        settings.limits.trial = Duration::from_millis(400);
        Target {
            build,
            release,
            settings,
            seq,
            restart: 0,
        }
    }

    async fn until(&mut self, what: &str, is_so: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        self.within(Duration::from_secs(20), what, is_so).await
    }

    async fn within(
        &mut self,
        limit: Duration,
        what: &str,
        is_so: impl FnMut(&Snapshot) -> bool,
    ) -> Snapshot {
        let waited = timeout(limit, self.snapshots.wait_for(is_so)).await;
        let snapshot = waited.map(|it| it.unwrap().clone());
        snapshot.unwrap_or_else(|_| panic!("{what}: {:?}\n{}", self.snapshots.borrow(), self.log()))
    }

    async fn ready(&mut self, seq: u64) -> Snapshot {
        let ready = |it: &Snapshot| it.phase == Phase::Ready && it.settled >= seq;
        self.until("ready", ready).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("gateway.log")).unwrap()
    }

    async fn shutdown(self) {
        self.handle.shutdown().await;
        let ended = timeout(Duration::from_secs(10), self.ended).await;
        ended.expect("the supervisor ends").unwrap();
    }
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| std::io::Error::other(format!("cut answer {text:?}")))
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn await_end(pid: u32) {
    for _ in 0..500 {
        if !lives(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} still lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_loses_no_request() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    let address = bench.ready(1).await.address.unwrap();
    let (first, firsts) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let first = first.clone();
            std::thread::spawn(move || {
                assert!(get(address, "/").unwrap().starts_with("aaaa"));
                first.send(()).unwrap();
                while !get(address, "/").unwrap().starts_with("bbbb") {}
            })
        })
        .collect();
    for _ in 0..4 {
        firsts.recv_timeout(Duration::from_secs(10)).unwrap();
    }
    bench.handle.run(bench.target('b', 2, "node", SERVER)).await;
    let snapshot = bench.ready(2).await;
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(snapshot.running.unwrap().build.as_str(), "bbbbbbbbbbbb");
    assert_eq!(
        *bench.swapped.lock().unwrap(),
        ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]
    );
    assert!(snapshot.timings.stop_ms.is_some() && snapshot.timings.start_ms.is_some());
    assert!(snapshot.timings.unavailable_ms >= snapshot.timings.start_ms);
    assert!(
        bench.log().contains("out listening 8888"),
        "{}",
        bench.log()
    );
    bench.shutdown().await;
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_throws_is_refused_with_its_log_and_the_good_one_runs() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    bench.until("good", |it| it.good.is_some()).await;
    let broken = bench.target('b', 2, "node", "throw new Error('no such luck')");
    bench.handle.run(broken).await;
    let snapshot = bench.ready(2).await;
    let refused = snapshot.refused.unwrap();
    assert_eq!(
        refused.reason,
        "exited with code 1 before it listened, 3 times"
    );
    assert!(refused.log.iter().any(|line| line.contains("no such luck")));
    assert_eq!(snapshot.running.unwrap().build.as_str(), "aaaaaaaaaaaa");
    let crashes = bench.folder.path().join("state/crash-3.log");
    let crash = std::fs::read_to_string(crashes).unwrap();
    assert!(crash.contains("no such luck"), "{crash}");
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_and_a_missing_folder_are_named() {
    for (change, expected) in [
        (0, "cannot execute `no-such-program`"),
        (1, "cannot enter the working folder"),
    ] {
        let mut bench = Bench::new().await;
        let mut target = bench.target('a', 1, "no-such-program", "");
        if change == 1 {
            target.settings.cwd = "no-such-folder".to_owned();
        }
        bench.handle.run(target).await;
        let refused = |it: &Snapshot| it.refused.is_some() && it.phase == Phase::Stopped;
        let snapshot = bench.until("refused", refused).await;
        let log = snapshot.refused.unwrap().log.join("\n");
        assert!(log.contains(expected), "{log}");
        assert_eq!(snapshot.address, None);
        bench.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_application_comes_back_on_the_same_socket() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    let before = bench.until("good", |it| it.good.is_some()).await;
    let pid = before.running.unwrap().pid;
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    let back = |it: &Snapshot| it.phase == Phase::Ready && it.restarts == 1;
    let after = bench.until("back", back).await;
    assert_ne!(after.running.unwrap().pid, pid);
    assert_eq!(after.address, before.address);
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_reaches_the_group_and_what_left_it() {
    let mut bench = Bench::new().await;
    let folder = bench.folder.path().display().to_string();
    // A wrapper that ends at once on TERM, its server that takes its time, and a
    // child in a session of its own that does not listen to TERM.
    let script = format!(
        "setsid sh -c 'trap \"\" TERM; echo $$ > {folder}/escaped; sleep 60 & wait; wait' &
         trap 'exit 0' TERM
         node -e \"$SERVER\" & wait"
    );
    let mut target = bench.target('a', 1, "sh", &script);
    target.settings.env.insert("SERVER".into(), SERVER.into());
    bench.handle.run(target).await;
    let snapshot = bench.ready(1).await;
    let address = snapshot.address.unwrap();
    let slow = std::thread::spawn(move || get(address, "/slow").unwrap());
    while !bench.log().contains("slow request") {
        assert!(!slow.is_finished(), "{}", bench.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let escaped = std::fs::read_to_string(format!("{folder}/escaped")).unwrap();
    bench.handle.stop(2).await;
    let stopped = |it: &Snapshot| it.phase == Phase::Stopped;
    let snapshot = bench.until("stopped", stopped).await;
    assert_eq!((snapshot.settled, snapshot.running), (2, None));
    await_end(escaped.trim().parse().unwrap()).await;
    assert!(
        slow.join().unwrap().starts_with("aaaa"),
        "what was in flight is answered"
    );
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_deaf_to_term_is_killed_after_its_grace() {
    let mut bench = Bench::new().await;
    let deaf = format!(
        "process.on('SIGTERM', () => {{}});{}",
        SERVER.replace("SIGTERM", "SIGUSR2")
    );
    let mut target = bench.target('a', 1, "node", &deaf);
    target.settings.limits.grace = Duration::from_millis(300);
    bench.handle.run(target).await;
    bench.ready(1).await;
    bench.handle.stop(2).await;
    let stopped = |it: &Snapshot| it.phase == Phase::Stopped;
    let snapshot = bench.until("stopped", stopped).await;
    assert!(snapshot.timings.stop_ms.unwrap() >= 300);
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_counts_as_ready_where_nothing_is_asked() {
    let mut bench = Bench::new().await;
    let mute = "require('net').createServer(() => {}).listen(8888)";
    let mut target = bench.target('a', 1, "node", mute);
    target.settings.ready.tcp = true;
    bench.handle.run(target).await;
    bench.ready(1).await;
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_gets_a_session_and_no_foreign_descriptor() {
    let mut bench = Bench::new().await;
    let path = bench.folder.path().join("foreign");
    let foreign = std::fs::File::create(&path).unwrap();
    // As if the agent's own parent had left it open.
    fcntl(&foreign, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let script = format!(
        "const fs = require('fs');
         console.log('LISTEN_FDS', process.env.LISTEN_FDS, 'TOKEN', process.env.LOCKGATE_TOKEN_FILE);
         const stat = fs.readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
         console.log('session', Number(stat[3]) === process.pid);
         console.log('oom', fs.readFileSync('/proc/self/oom_score_adj', 'utf8').trim());
         {SERVER}"
    );
    bench
        .handle
        .run(bench.target('a', 1, "node", &script))
        .await;
    let pid = bench.ready(1).await.running.unwrap().pid;
    let open: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .collect();
    assert!(!open.contains(&path), "{open:?}");
    let log = bench.log();
    assert!(log.contains("out LISTEN_FDS undefined TOKEN undefined"));
    assert!(log.contains("out session true"));
    assert!(log.contains("out oom 500"));
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_supervisor_that_is_cut_off() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    let pid = bench.ready(1).await.running.unwrap().pid;
    bench.ended.abort();
    await_end(pid).await;
}
