//! A workspace: a checkout that builds an application, and what its lockgate.toml says.
//!
//! ```text
//! lockgate.toml ─▶ file (schema) ─┬▶ resolve(env) ─▶ Resolved: what to build, check, pack and start
//!        what is there ─▶ detect ─┘
//! ```
//! Without a lockgate.toml the default layout is `dist/packages/app-gateway` and
//! `docker-images/backend-images/gateway/app`.

pub(crate) mod bundles;
mod detect;
mod env_file;
mod file;
mod front;
pub(crate) mod nearest;
mod resolve;
pub(crate) mod secrets;
pub(crate) mod services;
pub(crate) mod sources;
pub(crate) mod template;
mod validate;
mod vpn;

use std::io;
use std::path::{Path, PathBuf};

use lockgate_model::EnvName;

pub(crate) use detect::Detected;
pub(crate) use env_file::{is_name as is_variable_name, parse as parse_env_file};
pub(crate) use resolve::Resolved;

use file::File;

/// The file at a workspace's root.
pub(crate) const FILE_NAME: &str = "lockgate.toml";

/// A checkout and its lockgate.toml.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    file: Option<File>,
    /// Whether anything says that this is a workspace at all.
    recognised: bool,
}

/// A workspace that cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// lockgate.toml does not parse.
    #[error("`{path}` cannot be used\n{message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's message with line and column.
        message: String,
        /// What was probably meant, when a word is unknown.
        hint: Option<String>,
    },
    /// A value parses but makes no sense.
    #[error("`{path}`: {what}")]
    Senseless {
        /// The file.
        path: PathBuf,
        /// Which value, and why.
        what: String,
    },
}

impl Workspace {
    /// Opens the workspace with this root.
    pub(crate) fn open(root: &Path) -> Result<Self, WorkspaceError> {
        let root = root
            .canonicalize()
            .map_err(|source| unreadable(root, source))?;
        let path = root.join(FILE_NAME);
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some(File::parse(&path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // A file where a folder is expected: say so about what was named.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(unreadable(&root, error));
            }
            Err(error) => return Err(unreadable(&path, error)),
        };
        let recognised = file.is_some() || detect::is_workspace(&root);
        Ok(Self {
            root,
            file,
            recognised,
        })
    }

    /// Opens the workspace around a folder: upwards to a lockgate.toml or nx.json, else
    /// to the outermost package.json of the git checkout, else the folder itself.
    pub(crate) fn around(folder: &Path) -> Result<Self, WorkspaceError> {
        let holds = |name: &'static str| move |above: &&Path| above.join(name).exists();
        let marked = [FILE_NAME, "nx.json"]
            .into_iter()
            .find_map(|name| folder.ancestors().find(holds(name)));
        let checkout = folder.ancestors().find(holds(".git"));
        let outermost = folder
            .ancestors()
            .take_while(|above| checkout.is_none_or(|checkout| above.starts_with(checkout)))
            .filter(holds("package.json"))
            .last();
        Self::open(marked.or(outermost).unwrap_or(folder))
    }

    /// The root, symlinks resolved.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether anything here says that this is a workspace: a lockgate.toml, a
    /// package.json, an nx.json.
    pub(crate) fn is_recognised(&self) -> bool {
        self.recognised
    }

    /// lockgate.toml's default environment.
    pub(crate) fn default_env(&self) -> Option<&EnvName> {
        self.file.as_ref()?.project.default_env.as_ref()
    }

    /// What is there, for defaults and for `init`.
    pub(crate) fn detect(&self) -> Detected {
        Detected::look(&self.root)
    }

    /// What to build, check, pack and start for an environment.
    pub(crate) fn resolve(&self, env: &EnvName) -> Result<Resolved, WorkspaceError> {
        let file = self.file.clone().unwrap_or_default();
        resolve::resolve(&self.root, &file, env, &self.detect())
    }

    /// Everything that keeps `resolve` from its work, not only the first of it.
    pub(crate) fn problems(&self, env: &EnvName) -> Vec<WorkspaceError> {
        let file = self.file.clone().unwrap_or_default();
        resolve::problems(&self.root, &file, env)
    }
}

fn unreadable(path: &Path, source: io::Error) -> WorkspaceError {
    WorkspaceError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
