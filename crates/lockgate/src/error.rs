//! What a failed command tells its user: kind, exit code, causes and what to do next.
//!
//! Modules know what failed; only this file and the commands know hints.

mod one_line;

use std::error::Error;
use std::fmt::Write as _;
use std::io::ErrorKind;

use serde_json::json;

pub(crate) use self::one_line::in_one_line;
use crate::certificates::CertificateError;
use crate::config::ConfigError;
use crate::context::names;
use crate::environment::EnvironmentError;
use crate::environment::create::CreateError;
use crate::environment::lock::LockError;
use crate::environment::organizations::OrganizationError;
use crate::environment::variables::VariablesError;
use crate::home::HomeError;
use crate::runtime::docker::check::CheckError;
use crate::runtime::docker::engine::EngineError;
use crate::server::ServerError;
use crate::server::control::ControlError;
use crate::server::front::NginxError;
use crate::server::listen::ListenError;
use crate::views::paint::Paint;
use crate::workspace::WorkspaceError;

/// What sort of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was tried and failed, or found something.
    Failed,
    /// The command line does not make sense.
    Usage,
    /// A configuration file or variable is wrong (`EX_CONFIG` of sysexits.h).
    Configuration,
    /// Somebody ended it before it was done: 128 and the number of SIGINT, as in a shell.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 78,
            Self::Interrupted => 130,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    /// What failed first, then its causes. Empty when everything was said already.
    chain: Vec<String>,
    hints: Vec<String>,
    /// Whether a result for programs was printed that says so, too.
    in_result: bool,
}

impl CommandError {
    /// It was tried and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message.into())
    }

    /// The command line does not make sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message.into())
    }

    /// A configuration file or variable is wrong.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message.into())
    }

    /// Somebody ended it before it was done.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message.into())
    }

    /// The command found something and its own output has said what.
    pub(crate) fn said() -> Self {
        Self::said_as(Kind::Failed)
    }

    /// The command was ended by somebody and its own output has said how things are.
    pub(crate) fn said_interrupted() -> Self {
        Self::said_as(Kind::Interrupted)
    }

    fn said_as(kind: Kind) -> Self {
        Self {
            kind,
            chain: Vec::new(),
            hints: Vec::new(),
            in_result: false,
        }
    }

    /// An error of a module, with its causes, as this kind.
    pub(crate) fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        let mut failed = Self::new(kind, error.to_string());
        failed.add_causes(error.source());
        failed
    }

    fn new(kind: Kind, message: String) -> Self {
        Self {
            kind,
            chain: vec![message],
            hints: Vec::new(),
            in_result: false,
        }
    }

    /// Adds a cause and its causes.
    #[must_use]
    pub(crate) fn because(mut self, cause: &(dyn Error + 'static)) -> Self {
        self.add_causes(Some(cause));
        self
    }

    /// Adds a cause that is only a text.
    #[must_use]
    pub(crate) fn because_of(mut self, cause: impl Into<String>) -> Self {
        self.chain.push(cause.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, once a result was printed that tells programs of it.
    #[must_use]
    pub(crate) fn in_result(self) -> Self {
        Self {
            in_result: true,
            ..self
        }
    }

    fn add_causes(&mut self, mut cause: Option<&(dyn Error + 'static)>) {
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their source in their own text.
            let repeated = self.chain.last().is_some_and(|last| last.ends_with(&text));
            if !repeated {
                self.chain.push(text);
            }
            cause = error.source();
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.kind.exit_code()
    }

    /// The text for people; empty when everything was said already.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        let Some((first, causes)) = self.chain.split_first() else {
            return text;
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {}", paint.error("error:"), indent(first, "  "));
        for cause in causes {
            let _ = writeln!(
                text,
                "  {} {}",
                paint.dim("caused by:"),
                indent(cause, "    ")
            );
        }
        for hint in &self.hints {
            let _ = writeln!(
                text,
                "  {} {}",
                paint.hint("hint:"),
                indent(hint, "        ")
            );
        }
        text
    }

    /// The same for programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({"error": self.described()})
    }

    /// The last event of a command that failed before there was a result; nothing where there was.
    pub(crate) fn to_result(&self) -> Option<serde_json::Value> {
        let result = || json!({"event": "result", "ok": false, "error": self.described()});
        (!self.in_result && !self.is_said()).then(result)
    }

    fn described(&self) -> serde_json::Value {
        let (message, causes) = match self.chain.split_first() {
            Some((first, causes)) => (Some(first), causes),
            None => (None, [].as_slice()),
        };
        json!({
            "kind": self.kind.as_str(),
            "exit_code": self.exit_code(),
            "message": message,
            "caused_by": causes,
            "hints": self.hints,
        })
    }

    /// Whether the command line did not make sense.
    pub(crate) fn is_usage(&self) -> bool {
        self.kind == Kind::Usage
    }

    /// Whether a configuration is wrong, so that trying again helps nothing.
    pub(crate) fn is_configuration(&self) -> bool {
        self.kind == Kind::Configuration
    }

    /// Whether somebody ended it, who does not want more of it.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.kind == Kind::Interrupted
    }

    /// Whether there is nothing left to say.
    pub(crate) fn is_said(&self) -> bool {
        self.chain.is_empty()
    }
}

/// Lines after the first keep the depth of what they belong to.
fn indent(text: &str, by: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{by}"))
}

/// Errors of modules that mean nothing but that the work failed.
macro_rules! failed_from {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::from_error(Kind::Failed, &error)
            }
        }
    )+};
}

failed_from!(
    lockgate_builds::sign::SignError,
    crate::environment::publish::PublishError,
    crate::environment::registration::RegistrationError,
    crate::environment::tokens::TokensError,
    crate::server::detach::DetachError,
);

/// What to do about a folder that cannot be used.
const WHERE: &str =
    "LOCKGATE_HOME (and LOCKGATE_BUILDS) say which folder is used; it has to be writable";
/// What to do where no server runs.
const SERVE: &str = "start it with `lockgate serve --detach`, or let `lockgate up` do it all";

impl From<lockgate_builds::store::StoreError> for CommandError {
    fn from(error: lockgate_builds::store::StoreError) -> Self {
        let told = Self::from_error(Kind::Failed, &error);
        match error {
            lockgate_builds::store::StoreError::Io { .. } => told.hint(WHERE),
            _ => told,
        }
    }
}

impl From<ControlError> for CommandError {
    fn from(error: ControlError) -> Self {
        if error.is_unreachable() {
            let socket = error.socket.display();
            return Self::failed(format!("no server answers at `{socket}`")).hint(SERVE);
        }
        Self::from_error(Kind::Failed, &error)
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::from_error(Kind::Configuration, &error)
    }
}

impl From<WorkspaceError> for CommandError {
    fn from(error: WorkspaceError) -> Self {
        let kind = match &error {
            WorkspaceError::Malformed { .. } | WorkspaceError::Senseless { .. } => {
                Kind::Configuration
            }
            WorkspaceError::Unreadable { .. } => Kind::Failed,
        };
        let told = Self::from_error(kind, &error);
        match error {
            WorkspaceError::Malformed {
                hint: Some(hint), ..
            } => told.hint(hint),
            _ => told,
        }
    }
}

impl From<EnvironmentError> for CommandError {
    fn from(error: EnvironmentError) -> Self {
        let told = Self::from_error(Kind::Failed, &error);
        match &error {
            EnvironmentError::Unknown { env, known } if known.is_empty() => told.hint(format!(
                "`lockgate create {env}` makes it, `lockgate up` does it all"
            )),
            EnvironmentError::Unknown { env, known } => told.hint(format!(
                "there are {}; `lockgate create {env}` makes another",
                names(known.iter())
            )),
            EnvironmentError::File { .. } => told.hint(WHERE),
            _ => told,
        }
    }
}

impl From<CreateError> for CommandError {
    fn from(error: CreateError) -> Self {
        let told = Self::from_error(Kind::Failed, &error);
        match &error {
            CreateError::Exists { env } => told.hint(format!(
                "`lockgate deploy {env}` uses it, `lockgate delete {env}` ends it"
            )),
            CreateError::Domain { .. } => {
                told.hint("the workspace comes after it: `lockgate create ENV DOMAIN WORKSPACE`")
            }
            CreateError::Home(_) => told.hint(WHERE),
            CreateError::Deleting { env } => {
                told.hint(format!("`lockgate delete {env}` takes the rest of it"))
            }
            _ => told,
        }
    }
}

impl From<VariablesError> for CommandError {
    fn from(error: VariablesError) -> Self {
        let kind = match &error {
            VariablesError::Name { .. } | VariablesError::Value { .. } => Kind::Usage,
            VariablesError::File { .. } | VariablesError::Random(_) => Kind::Failed,
        };
        Self::from_error(kind, &error)
    }
}

/// What to do where no engine answers.
const ENGINE: &str = "start Docker, or set DOCKER_HOST to where it listens (`unix:///PATH`, `tcp://HOST:PORT`); \
     who asks has to be root or in the group `docker`. Gateways of `--runtime local` need no engine";

impl From<CheckError> for CommandError {
    fn from(error: CheckError) -> Self {
        match &error {
            CheckError::Address(source) => {
                Self::from_error(Kind::Configuration, source).hint(ENGINE)
            }
            CheckError::Engine(source) => EngineError::told(source),
            CheckError::NoImage { image, .. } => {
                let told = Self::from_error(Kind::Failed, &error);
                told.hint(format!(
                    "`lockgate image build --tag {image}` makes it; `[docker] image` in lockgate.toml names another"
                ))
            }
        }
    }
}

impl EngineError {
    /// The error with what to do about it.
    pub(crate) fn told(&self) -> CommandError {
        let told = CommandError::from_error(Kind::Failed, self);
        match self {
            Self::Away { .. } | Self::Silent { .. } | Self::Closed { .. } => told.hint(ENGINE),
            Self::NoGateway { .. } => told.hint(
                "`[docker] network` in lockgate.toml names another; `bridge` is in every engine",
            ),
            _ => told,
        }
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        let told = Self::from_error(Kind::Failed, &error);
        match &error {
            LockError::Held { .. } => {
                told.hint("`--lock-wait` waits for it; what it published stays when it is ended")
            }
            LockError::File { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                told.hint("its environment belongs to another user of this host")
            }
            LockError::File { .. } => told,
        }
    }
}

impl From<OrganizationError> for CommandError {
    fn from(error: OrganizationError) -> Self {
        let told = Self::from_error(Kind::Failed, &error);
        match &error {
            OrganizationError::Served {
                organization,
                gateway,
            } => told.hint(format!(
                "`lockgate org release {} {organization}` takes it away first",
                gateway.env()
            )),
            OrganizationError::Busy {
                gateway,
                organization,
            } => told.hint(format!(
                "`lockgate org release {} {organization}` frees it",
                gateway.env()
            )),
            OrganizationError::NoneLeft { env, gateways } => told.hint(format!(
                "`lockgate scale {env} {}` makes one more",
                gateways + 1
            )),
            OrganizationError::Unserved { env, .. } => {
                told.hint(format!("`lockgate org list {env}` shows who serves whom"))
            }
        }
    }
}

impl From<CertificateError> for CommandError {
    fn from(error: CertificateError) -> Self {
        Self::from_error(Kind::Failed, &error)
    }
}

impl From<ServerError> for CommandError {
    fn from(error: ServerError) -> Self {
        let kind = match &error {
            ServerError::Nginx(NginxError::Missing { .. }) => Kind::Configuration,
            _ => Kind::Failed,
        };
        let told = Self::from_error(kind, &error);
        match &error {
            ServerError::Nginx(NginxError::Missing { .. }) => told.hint(
                "install it, or leave out `--front nginx` and LOCKGATE_FRONT: the server serves the \
                 front door itself then",
            ),
            ServerError::AlreadyRuns { .. } => {
                told.hint("`lockgate serve status` shows it, `lockgate serve stop` ends it")
            }
            ServerError::Home(HomeError::Unusable { .. }) => told.hint(WHERE),
            ServerError::Listen(ListenError::Taken { .. }) => told.hint(
                "`--port` or LOCKGATE_SERVE_PORT moves the build server; 0 takes a free port",
            ),
            _ => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `main.js`")]
    struct Outer(#[source] std::io::Error);

    fn check(error: &CommandError, expected: &str) {
        assert_eq!(error.render(Paint::new(false)), expected);
    }

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let outer = Outer(std::io::Error::other("disk on fire"));
        check(
            &CommandError::from_error(Kind::Failed, &outer).hint("build first"),
            "error: cannot read `main.js`\n  caused by: disk on fire\n  hint: build first\n",
        );
    }

    #[test]
    fn a_cause_with_several_lines_stays_below_its_error() {
        check(
            &CommandError::configuration("bad\nplace").because_of("`a` is no file"),
            "error: bad\n  place\n  caused by: `a` is no file\n",
        );
    }

    #[test]
    fn what_was_said_already_is_not_repeated() {
        check(&CommandError::said(), "");
        assert_eq!(CommandError::said().exit_code(), 1);
    }

    #[test]
    fn kinds_have_the_documented_exit_codes() {
        assert_eq!(CommandError::usage("x").exit_code(), 2);
        assert_eq!(CommandError::configuration("x").exit_code(), 78);
        assert_eq!(CommandError::interrupted("x").exit_code(), 130);
        let json = CommandError::usage("x").hint("y").to_json();
        assert_eq!(json["error"]["exit_code"], 2);
        assert_eq!(json["error"]["hints"][0], "y");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_with_the_way_to_start_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = crate::home::Home::new(folder.path(), folder.path(), folder.path());
        let control = crate::server::control::ControlClient::new(&home);
        let error = CommandError::from(control.server().await.unwrap_err());
        let text = error.render(Paint::new(false));
        assert!(text.starts_with("error: no server answers at `"), "{text}");
        assert!(text.contains("hint: start it with `lockgate serve --detach`"));
        assert!(!text.contains("caused by"), "{text}");
    }

    #[test]
    fn programs_get_one_result() {
        let result = CommandError::failed("x").to_result().unwrap();
        assert_eq!(result["event"], "result");
        assert_eq!(result["ok"], false);
        assert_eq!(result["error"]["message"], "x");
        assert_eq!(CommandError::failed("x").in_result().to_result(), None);
        assert_eq!(CommandError::said().to_result(), None);
    }
}
