use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::group::{Group, MIB};
use super::*;

fn check(free_mib: u64, running_mib: u64, expected: Result<(), &str>) {
    let decided = decide(free_mib * MIB, running_mib * MIB).map_err(|it| it.to_string());
    assert_eq!(decided, expected.map_err(str::to_owned));
}

#[test]
fn a_second_process_needs_what_the_first_uses_and_a_little_more() {
    check(272, 200, Ok(()));
    check(
        271,
        200,
        Err("271 MiB of memory are free, 272 MiB are needed: the running process uses 200 MiB"),
    );
    check(
        380,
        512,
        Err("380 MiB of memory are free, 646 MiB are needed: the running process uses 512 MiB"),
    );
    check(
        0,
        0,
        Err("0 MiB of memory are free, 32 MiB are needed: the running process uses 0 MiB"),
    );
}

/// A process in a session of its own that has said `here`; ended with the test.
struct Started(Child);

impl Started {
    #[expect(clippy::disallowed_methods, reason = "a test starts what it looks at")]
    fn sh(script: &str, argument: &Path) -> Self {
        let mut child = Command::new("setsid")
            .args(["sh", "-c", script, "sh"])
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "here");
        Self(child)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The whole session, which is one group.
        crate::process::signal(self.pid(), nix::sys::signal::Signal::SIGKILL);
        self.0.wait().unwrap();
    }
}

#[test]
fn a_real_cgroup_has_room_for_two_or_for_one() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => {
            println!("SKIPPED: a cgroup cannot be made here: {error}");
            return;
        }
    };
    group.limit(1024);
    let script = "echo $$ > \"$1/cgroup.procs\" && exec node -e '
        globalThis.kept = Buffer.alloc(64 << 20, 1);
        require(\"child_process\").spawn(\"sleep\", [\"1000\"], { stdio: \"ignore\" });
        console.log(\"here\");
        process.stdin.resume();'";
    let process = Started::sh(script, &group.folder);
    let who = process.pid().to_string();
    let free = || limits::free_bytes(&who, &|path| fs::read_to_string(path).ok()).unwrap();
    let used = usage::of_session(process.pid()).unwrap();
    assert!((64 * MIB..512 * MIB).contains(&used), "{used}");
    assert!(free() <= (1024 - 64) * MIB, "{}", free());
    assert_eq!(decide(free(), used), Ok(()));
    // Whatever it shares with others, it uses 64 and so needs more than 96.
    group.limit(160);
    assert!(free() <= 96 * MIB, "{}", free());
    let too_little = decide(free(), used).unwrap_err();
    assert_eq!(too_little.running, used);
    drop(process);
}

/// Also run by the test below, as nobody.
#[test]
fn a_process_and_its_children_settle() {
    let script = "
        echo 1000 > /proc/self/oom_score_adj
        sleep 1000 & echo 900 > /proc/$!/oom_score_adj
        sleep 1000 & echo here; read x";
    let process = Started::sh(script, Path::new("."));
    let score = |pid: Pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse::<i32>().unwrap()
    };
    let scores = || {
        let mut all: Vec<i32> = usage::family(process.pid())
            .into_iter()
            .map(score)
            .collect();
        all.sort_unstable();
        all
    };
    assert_eq!(scores(), [900, HELD, HELD]);
    settle(process.pid());
    assert_eq!(scores(), [SERVING, SERVING, 900]);
    assert_eq!(score(process.pid()), SERVING);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test runs another as nobody")]
fn an_agent_without_rights_settles_what_it_started() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: the agent of the other test has no rights already");
        return;
    }
    let ran = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        // Also where nobody may not enter the folder of the program.
        .arg("/proc/self/fd/0")
        .args([
            "--exact",
            "memory::tests::a_process_and_its_children_settle",
        ])
        .stdin(fs::File::open("/proc/self/exe").unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("1 passed"), "{said}{ran:?}");
}
