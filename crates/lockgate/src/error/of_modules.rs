//! What each module's error means for a command: its kind, and what to do next.

use std::io::ErrorKind;

use super::{CommandError, Kind};
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
use crate::workspace::WorkspaceError;

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
        error.told()
    }
}

impl ControlError {
    /// The error with what to do about it.
    pub(crate) fn told(&self) -> CommandError {
        if self.is_unreachable() {
            let socket = self.socket.display();
            return CommandError::failed(format!("no server answers at `{socket}`")).hint(SERVE);
        }
        CommandError::from_error(Kind::Failed, self)
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
        error.told()
    }
}

impl EnvironmentError {
    /// The error with what to do about it.
    pub(crate) fn told(&self) -> CommandError {
        let told = CommandError::from_error(Kind::Failed, self);
        match self {
            Self::Unknown { env, known } if known.is_empty() => told.hint(format!(
                "`lockgate create {env}` makes it, `lockgate up` does it all"
            )),
            Self::Unknown { env, known } => told.hint(format!(
                "there are {}; `lockgate create {env}` makes another",
                names(known.iter())
            )),
            Self::File { .. } => told.hint(WHERE),
            Self::Malformed { path, .. } | Self::Misplaced { path, .. } => told.hint(format!(
                "correct `{}`, or put back a copy of it",
                path.display()
            )),
            Self::UnknownGateway { .. } => told,
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
