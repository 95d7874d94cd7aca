//! Small applications, and what a test does to their files and processes.

use std::fs;
use std::path::Path;

/// Whether a process runs; one that is dead and not yet reaped does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some(Some('Z' | 'X')))
}

/// The children of a process, as the kernel knows them: of each of its threads.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let of_thread = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children"));
    threads
        .filter_map(|thread| of_thread(thread.ok()?).ok())
        .flat_map(|children| {
            let children = children.split_ascii_whitespace();
            children.map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

/// A service that names its version, and finishes its requests on TERM.
pub(crate) fn application(version: &str) -> String {
    format!(
        r#"
const http = require("http");
const server = http.createServer((request, response) => {{
  if (request.url === "/orphan") {{
    // Its parent ends at once; whoever inherits it must reap it.
    require("child_process").execFileSync("sh", ["-c", "sleep 0.1 >&- 2>&- &"]);
  }}
  if (request.url === "/reload") {{
    // As the platform does it: synchronously, through the agent's own program.
    const {{ execFileSync }} = require("child_process");
    response.end(execFileSync("{agent}", ["reload", "--format", "json"]));
    return;
  }}
  response.end(JSON.stringify({{ version: "{version}", pid: process.pid }}));
}});
server.listen(8888, "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
console.log("serving {version}");
"#,
        agent = env!("CARGO_BIN_EXE_lockgate-agent")
    )
}

/// A build that is broken from the start.
pub(crate) fn throwing() -> String {
    "console.log('about to fail');\nthrow new Error('boom at start');\n".to_owned()
}

/// Changes a byte of a file where this text stands. Gives the file as it was.
pub(crate) fn damage(path: &Path, text: &str) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let at = whole
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    fs::write(path, damaged).unwrap();
    whole
}
