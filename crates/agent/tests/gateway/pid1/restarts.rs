//! A thousand restarts of an application that does everything wrong.

use std::fs;
use std::time::Duration;

use http::Method;
use lockgate_builds::client::{Client, Endpoint};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Gateway, Place, naming, zombies_of};
use crate::application::{children, is_alive};
use crate::world::{DEADLINE, free_port};

/// Each start does what its number says; the file `done` holds the number once it has.
/// Every twenty-fifth is well behaved.
const NASTY: &str = r#"
count=$(cat "$FOLDER/count" 2> /dev/null || echo 0)
echo $((count + 1)) > "$FOLDER/count"
did() { echo $count > "$FOLDER/done.new"; mv "$FOLDER/done.new" "$FOLDER/done"; }
wait_for_the_end() { did; while :; do sleep 1000; done; }
deaf='trap "" TERM HUP; while :; do sleep 1000; done'
case $((count % 25)) in
  0) exec node -e "$SERVER" $count ;;
  1) did; exit $((count % 256)) ;;
  2) did; kill -KILL $$ ;;
  3) did; kill -SEGV $$ ;;
  4) did; kill -40 $$ ;;
  5) (sleep 1000 &); (sleep 1000 &); did; exit 1 ;;
  6) setsid sleep 1000 & setsid sleep 1000 & wait_for_the_end ;;
  7) (setsid sh -c "$deaf" "$FOLDER" < /dev/null > /dev/null 2>&1 &); wait_for_the_end ;;
  8) (env -i setsid sh -c "$deaf" "$FOLDER" < /dev/null > /dev/null 2>&1 &); did; exit 2 ;;
  9) head -c 3000000 /dev/zero | tr '\0' x; wait_for_the_end ;;
  10) head -c 30000 /dev/zero | tr '\0' '\n' >&2; did; exit 3 ;;
  11) exec < /dev/null > /dev/null 2>&1; wait_for_the_end ;;
  12) exec <&- >&- 2>&-; did; exit 4 ;;
  13) trap "" TERM; wait_for_the_end ;;
  14) trap "exit 0" TERM; wait_for_the_end ;;
  15) for one in 1 2 3 4 5 6 7 8 9 10; do (setsid sleep 0.01 &); done; wait_for_the_end ;;
  16) did; kill -STOP $$; sleep 1000 ;;
  17) sh -c "$deaf" "$FOLDER" & did; exit 5 ;;
  18) did; kill -TERM $$ ;;
  19) cat /dev/zero | tr '\0' y & wait_for_the_end ;;
  20) did; kill -TERM 0; sleep 1000 ;;
  21 | 22) exec node -e "$SERVER" $count nasty ;;
  *) did; exit 6 ;;
esac
"#;

/// Serves on the socket that the agent holds and on a port of its own, which a nasty
/// one leaves to a child that goes its own way.
const SERVER: &str = r#"
const [count, nasty] = process.argv.slice(1);
const http = require("http");
const say = (text) => {
  const done = process.env.FOLDER + "/done";
  require("fs").writeFileSync(done + ".new", text + "\n");
  require("fs").renameSync(done + ".new", done);
};
const serve = (where, then) => {
  const server = http.createServer((_, response) => response.end("{}"));
  server.on("error", (error) => say(String(error)));
  server.listen({ host: "127.0.0.1", ...where }, () => then(server));
};
serve({ fd: 3 }, () => serve({ port: process.env.OWN_PORT }, (server) => {
  if (nasty) {
    const stdio = ["ignore", "ignore", "ignore", server._handle];
    require("child_process").spawn("sleep", ["1000"], { detached: true, stdio }).unref();
  }
  say(count);
}));
"#;

/// What an agent takes of the machine.
#[derive(Debug)]
struct Taken {
    descriptors: usize,
    threads: usize,
    resident_kib: usize,
    /// The most that was ever resident.
    peak_kib: usize,
}

impl Taken {
    fn by(pid: i32) -> Self {
        let count = |folder: &str| {
            let entries = fs::read_dir(format!("/proc/{pid}/{folder}"));
            entries.unwrap().count()
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kib = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            let number = value.unwrap().trim().trim_end_matches(" kB");
            number.parse().unwrap()
        };
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            resident_kib: kib("VmRSS:"),
            peak_kib: kib("VmHWM:"),
        }
    }
}

impl Gateway {
    /// Starts the nasty application for the first time.
    async fn run_nasty(&mut self) {
        let settings = &mut self.world.settings;
        settings.command = ["sh", "main.js"].map(str::to_owned).to_vec();
        settings.limits.trial = Duration::from_millis(50);
        settings.limits.grace = Duration::from_millis(50);
        // Nothing starts but what the test asks for.
        settings.limits.crash_delay = Duration::from_hours(1);
        let env = &mut settings.env;
        env.insert("SERVER".to_owned(), SERVER.to_owned());
        env.insert("OWN_PORT".to_owned(), free_port().to_string());
        self.start_agent();
        let packed = self.world.pack(NASTY);
        let seq = self.world.state(&packed, |_| {});
        let report = self.world.settled(seq).await;
        assert_eq!(report.refused, None, "{}", self.world.told());
        let good = self.world.path("lockgate/good.json");
        let passed = || good.exists();
        self.world.until("the trial is passed", passed).await;
    }

    /// The start that has done its worst, by its number.
    fn done(&self) -> Option<u64> {
        let done = fs::read_to_string(self.world.path("done")).ok()?;
        let number = done.trim().parse();
        Some(number.unwrap_or_else(|_| panic!("{done}{}", self.world.told())))
    }

    /// Restarts it up to this number, each time when the one before has done its worst.
    async fn restart_until(&self, last: u64) {
        let client = Client {
            endpoint: Endpoint::Unix(self.world.path("agent.sock")),
            program: "test".to_owned(),
            token: None,
        };
        for number in self.done().unwrap() + 1..=last {
            let nothing = Value::Null;
            let restart =
                client.send_json::<Value, _>(Method::POST, "/v1/restart", &nothing, DEADLINE);
            let done = async {
                while self.done() != Some(number) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let done = tokio::time::timeout(DEADLINE, done);
            // Most of them are never ready: the answer would take its time.
            tokio::select! {
                done = done => assert!(done.is_ok(), "start {number}: {}", self.world.told()),
                () = async { let _ = restart.await; std::future::pending().await } => {}
            }
        }
    }

    /// Waits until no more is open than this: what is open for a moment comes and goes.
    async fn descriptors_are_at_most(&self, most: usize) {
        let agent = self.agent();
        let few = || Taken::by(agent).descriptors <= most;
        let what = format!("the agent has at most {most} descriptors open");
        self.world.until(&what, few).await;
    }

    /// Waits until nobody is there but the agent and a well-behaved application.
    async fn alone(&self) {
        let agent = self.agent();
        let folder = self.world.path("");
        let nobody_else = || {
            let mut others = naming(&folder);
            others.retain(|pid| ![agent, self.world.agent_pid()].contains(pid));
            others.len() == 1 && children(agent) == others && zombies_of(agent) == 0
        };
        self.world.until("nobody else is left", nobody_else).await;
    }
}

/// How many times is looked what the agent takes.
const LOOKS: usize = 10;

/// How much more memory the agent may take in the end: less than 6 KiB for each of the
/// restarts between the looks that are compared, where there are a thousand.
const SLACK_KIB: usize = 4 * 1024;

/// Restarts it, and looks each time after this many. Fails if anything of the
/// application is left, or if the agent takes more and more.
async fn restart(place: Place, every: u64) {
    let mut gateway = Gateway::new(place).await;
    gateway.run_nasty().await;
    let mut looks: Vec<Taken> = Vec::new();
    for look in 1..=LOOKS {
        let last = u64::try_from(look).unwrap() * every;
        gateway.restart_until(last).await;
        gateway.alone().await;
        if let Some(first) = looks.first() {
            gateway.descriptors_are_at_most(first.descriptors).await;
        }
        looks.push(Taken::by(gateway.agent()));
    }
    let third = LOOKS / 3;
    let (early, late) = (&looks[..third], &looks[LOOKS - third..]);
    let most = |what: fn(&Taken) -> usize| early.iter().map(what).max().unwrap();
    let least = |what: fn(&Taken) -> usize| late.iter().map(what).min().unwrap();
    // Threads that wait for files come and go.
    assert!(
        least(|it| it.threads) < most(|it| it.threads) + 8,
        "{looks:#?}"
    );
    // A flood of lines takes memory, and did so at the beginning; the allocator keeps
    // some of it for later.
    assert!(
        least(|it| it.resident_kib) <= most(|it| it.peak_kib) + SLACK_KIB,
        "{looks:#?}"
    );

    let application = children(gateway.agent());
    gateway.signal_agent(Signal::SIGTERM);
    assert_eq!(gateway.world.agent_ended().await, Some(0));
    assert!(!is_alive(application[0]));
    assert_eq!(naming(&gateway.world.path("")), [0; 0]);
}

#[tokio::test]
async fn a_thousand_restarts_leave_nothing_as_the_first_process() {
    restart(Place::First, 100).await;
}

#[tokio::test]
async fn two_hundred_and_fifty_restarts_leave_nothing_as_one_of_many() {
    restart(Place::OneOfMany, 25).await;
}
