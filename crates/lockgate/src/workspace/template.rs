//! The lockgate.toml that `init` writes: what was found, and every other key as a comment.

use lockgate_model::EnvName;

use super::detect::{BUNDLE, Detected, PARTS, VALIDATE};
use crate::environment::docker::DockerSettings;

/// The part about the front door.
const VALIDATION: &str = r#"# What no bundle may hold, and what it may all the same; globs, in which a star stands for
# slashes too. docs/validation.md says what else there is.
# [validate]
# sets = ["react"]     # or "frontend": everything that is written for a browser
# guarded = "note"     # or "warning", "error": a require whose error is caught
# types = "warning"    # imports of types alone, of which nothing is said otherwise
# metafile = "dist/meta.json"
# [[validate.forbid]]
# label = "Heavy"
# packages = ["moment", "moment/*"]
# files = ["packages/*/src/ui/*"]
# severity = "error"   # or "warning", "note"
# bundles = ["dist/packages/app-gateway/*"]
# [[validate.allow]]
# what = "react-dom/server"
# reason = "renders the mails"
# A secret that may be packed; `lockgate validate --accept` writes these.
# [[secrets.allow]]
# fingerprint = "1f0c9a77be21"
# reason = "signs nothing: the example of the documentation""#;

const DOORS: &str = r#"# What the front door serves beside organizations: a site for the domain itself and one
# for `ganymede.` of it, each a server (`http://ADDRESS:PORT`) or a folder; and a
# certificate of your own with its key, where browsers shall be shown that.
# [front]
# apex = "dist/site"
# ganymede = "http://127.0.0.1:3000"
# certificate = "tls/fullchain.pem"
# key = "tls/privkey.pem"

# What clients of a gateway's VPN may reach beside its door at 172.16.0.1:80: ports of the
# gateway (`PORT/PROTOCOL`), or of clients (`ADDRESS[/PREFIX]:PORT/PROTOCOL`), `FIRST-LAST`
# for several. Nothing outside the VPN can be named.
# [vpn]
# allow = ["5432/tcp", "172.16.3.0/24:8080/tcp"]"#;

/// The file's text.
pub(crate) fn render(env: &EnvName, found: &Detected) -> String {
    let command = match &found.build_command {
        Some(command) => format!("command = {}", quoted(command)),
        None => "# command = \"npm run build\"".to_owned(),
    };
    let sources = if found.sources.is_empty() {
        "# sources = [\"src\"]".to_owned()
    } else {
        let all: Vec<String> = found.sources.iter().map(|source| quoted(source)).collect();
        format!("sources = [{}]", all.join(", "))
    };
    let parts = PARTS.map(|(from, to, required)| {
        let rest = if required { "" } else { ", required = false" };
        format!("    {{ from = \"{from}\", to = \"{to}\"{rest} }},")
    });
    let parts = parts.join("\n");
    let image = DockerSettings::default().image().to_owned();
    format!(
        r#"# What Lockgate builds, checks, packs and starts. Keys that are left out keep
# the value shown; unknown keys are refused.

[project]
# The environment that is meant when a command names none.
default_env = "{env}"

[build]
# Makes the bundle; run by `sh -c` in this folder (`deploy --build`, `up`).
{command}
# The bundle that is started.
bundle = "{BUNDLE}"
# The bundles that must be free of front-end code.
validate = ["{VALIDATE}"]
# Folders with sources: Lockgate says when one is newer than the bundle, and
# `deploy --build --watch` and `up --build` build when one changes.
{sources}

[pack]
# What goes into a build, and where it lands. Environment files, keys and
# credentials are never packed.
parts = [
{parts}
]

{VALIDATION}

[deploy]
# In which order gateways get a build: "all" at once; "rolling", one after the
# other, the next when the one before is ready; "canary", the first alone through
# its trial, then the others. `deploy --strategy` says it for once; `up` and
# `deploy --watch` take all at once.
# strategy = "all"

[docker]
# What gateways of `create --runtime docker` are made from. Their ports are open to this
# host and its containers ("loopback"), or to whoever reaches this host ("all").
# image = "{image}"
# network = "bridge"
# publish = "loopback"

{DOORS}

[app]
# How a gateway starts the application; `cwd` is a folder of the build.
# command = ["node", "--enable-source-maps", "main.js"]
# cwd = "app-gateway"
# Variables of the application; those of `env_file` (NAME=value lines, never
# packed) come before those of `env`. They travel in the signed statement.
# env = {{ LOG_LEVEL = "debug" }}
# env_file = ".env.gateway"

# How a new process follows the old one in a gateway.
# "gated": it boots beside the old one and is held at its first `listen` until the
#     old one has answered what it serves; a pause of milliseconds. Node alone.
# "cold": the old one is gone before the new one starts; connections wait for its boot.
# "auto": gated, unless the new one did something before its first `listen` that could
#     disturb the old one or miss what it saves at its end; then cold, and told why.
# strategy = "auto"
# What may happen before the first `listen` all the same, `*` for any text:
# read:PATH, write:PATH, connect:HOST:PORT, start:PROGRAM.
# before_listen = ["read:/etc/gateway/*.json", "connect:*:5432"]

# The ports in the application's own `listen` calls.
# [[app.socket]]
# port = 8888

# [app.ready]
# Ready when this path answers 2xx or 3xx; without it any answer below 500 to `/`.
# http = "/health"
# timeout = "2s"       # how long one answer may take
# interval = "50ms"    # the pause before it is asked again

# [app.limits]
# ready = "20s"        # from start to ready
# linger = "1s"        # how long the old process goes on accepting, its clients sent away
# drain = "5s"         # how long requests in flight may take before they are cut
# grace = "10s"        # from TERM to KILL
# trial = "30s"        # how long a new build must stay ready to count as good
# crash_delay = "3s"   # before the first start after a crash; doubles up to 60 s

# Gateways that a platform has to know: run once for each new gateway, in this folder,
# with ENV_NAME, DOMAIN, GANYMEDE_FQDN, GATEWAY_NAME, GATEWAY_HTTP_PORT and
# GATEWAY_VPN_PORT in its environment; it prints `gateway_id: UUID` and `token: TEXT`.
# Without it a gateway gets an id of its own and a token of `lockgate keys`.
# [registration]
# command = ["scripts/register-gateway.sh"]
# timeout = "1m"

# Services of this host beside the gateways, such as the platform's API: kept running
# by `lockgate serve`, as docs/services.md says. `cwd`, `env_file` and `log` lie in this
# folder. Ready when `http://…` answers 2xx or 3xx, or when `tcp://HOST:PORT` accepts;
# without `ready`, when it has run for a moment.
# [services.ganymede]
# command = ["node", "dist/packages/app-ganymede/main.js"]
# cwd = "."
# env = {{ PORT = "3000" }}
# env_file = ".env.ganymede"
# ready = "http://127.0.0.1:3000/healthz"
# ready_timeout = "20s"
# stop_timeout = "10s" # from TERM to KILL
# log = "tmp/ganymede.log"

# What differs in one environment:
# [env.{env}.app]
# env = {{ LOG_LEVEL = "trace" }}
"#
    )
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::file::File;
    use std::path::Path;

    #[test]
    fn the_settings_page_shows_the_template() {
        let page = include_str!("../../../../docs/settings.md");
        let env = EnvName::parse("dev-001").unwrap();
        let found = Detected {
            build_command: Some("npm run build".to_owned()),
            sources: vec!["packages".to_owned()],
            ..Detected::default()
        };
        let text = render(&env, &found);
        assert!(page.contains(&text), "docs/settings.md shall hold:\n{text}");
    }

    #[test]
    fn the_template_is_a_valid_file_and_so_is_every_commented_key() {
        let env = EnvName::parse("dev-001").unwrap();
        let found = Detected {
            build_command: Some("make \"x\"".to_owned()),
            sources: vec!["src".to_owned()],
            ..Detected::default()
        };
        let text = render(&env, &found);
        let file = File::parse(Path::new("lockgate.toml"), &text).unwrap();
        assert_eq!(file.build.command.as_deref(), Some("make \"x\""));
        assert_eq!(file.project.default_env, Some(env));

        let is_key = |line: &str| {
            line.starts_with("# [") || (line.contains(" = ") && line.starts_with("# "))
        };
        let uncomment = |line| {
            if is_key(line) {
                line.trim_start_matches("# ")
            } else {
                line
            }
        };
        let uncommented = text.lines().map(uncomment).collect::<Vec<_>>().join("\n");
        File::parse(Path::new("lockgate.toml"), &uncommented).unwrap();
    }
}
