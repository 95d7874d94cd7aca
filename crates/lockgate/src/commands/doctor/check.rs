//! What was looked at and what was found: the words of every group.

use lockgate_model::{EnvName, GatewayName};

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CommandError;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "CheckState")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, or will, and is worth a look.
    Warning,
    /// It does not work.
    Error,
    /// It cannot be told, or is not needed; `found` says which.
    Skipped,
}

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "CheckGroup")]
pub(crate) enum Group {
    /// Programs, disk, limits.
    Machine,
    /// The Docker engine.
    Engine,
    /// `LOCKGATE_HOME`.
    Home,
    /// What `serve` runs.
    Server,
    /// Names and certificates.
    Names,
    /// One environment.
    Environment,
    /// The folder in which it was asked.
    Workspace,
}

impl Group {
    /// Its heading for people.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Machine => "Machine",
            Self::Engine => "Engine",
            Self::Home => "Home",
            Self::Server => "Server",
            Self::Names => "Names and certificates",
            Self::Environment => "Environment",
            Self::Workspace => "Workspace",
        }
    }
}

/// What was found, why it matters, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) state: State,
    pub(super) found: String,
    pub(super) why: Option<String>,
    pub(super) remedy: Option<String>,
}

impl Finding {
    fn new(state: State, found: impl Into<String>) -> Self {
        Self {
            state,
            found: found.into(),
            why: None,
            remedy: None,
        }
    }

    /// As it should be.
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self::new(State::Ok, found)
    }

    /// Not looked at, and why.
    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::new(State::Skipped, why)
    }

    /// Worth a look.
    pub(super) fn warning(found: impl Into<String>) -> Self {
        Self::new(State::Warning, found)
    }

    /// Wrong.
    pub(super) fn error(found: impl Into<String>) -> Self {
        Self::new(State::Error, found)
    }

    /// Wrong, or only worth a look.
    pub(super) fn error_if(wrong: bool, found: impl Into<String>) -> Self {
        let state = if wrong { State::Error } else { State::Warning };
        Self::new(state, found)
    }

    /// Why it matters.
    pub(super) fn because(self, why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            ..self
        }
    }

    /// What mends it.
    pub(super) fn mended_by(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// What a command that fails for it says.
    pub(super) fn of(state: State, error: &CommandError) -> Self {
        let (found, remedy) = error.in_two();
        Self {
            remedy,
            ..Self::new(state, found)
        }
    }

    /// A note as other commands give it: where it ends with what helps, that is the remedy.
    pub(super) fn of_note(state: State, note: &str) -> Self {
        match note.rsplit_once("; ") {
            Some((found, remedy)) if remedy.contains('`') => {
                Self::new(state, found).mended_by(remedy)
            }
            _ => Self::new(state, note),
        }
    }

    /// The same, with this remedy where it has none of its own.
    pub(super) fn or_mended_by(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: self.remedy.or_else(|| Some(remedy.into())),
            ..self
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) group: Group,
    pub(super) name: String,
    pub(super) env: Option<EnvName>,
    pub(super) gateway: Option<GatewayName>,
    pub(super) finding: Finding,
}

impl Check {
    pub(super) fn new(group: Group, name: impl Into<String>, finding: Finding) -> Self {
        Self {
            group,
            name: name.into(),
            env: None,
            gateway: None,
            finding,
        }
    }

    /// One of an environment.
    pub(super) fn of_env(self, env: &EnvName) -> Self {
        Self {
            env: Some(env.clone()),
            ..self
        }
    }

    /// One of a gateway.
    pub(super) fn of_gateway(self, gateway: &GatewayName) -> Self {
        Self {
            gateway: Some(gateway.clone()),
            ..self.of_env(&gateway.env())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Fails unless a finding is of this state, and its texts hold these.
    #[track_caller]
    pub(in super::super) fn check(
        finding: &Finding,
        state: State,
        found: &str,
        remedy: Option<&str>,
    ) {
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
        match (remedy, &finding.remedy) {
            (None, None) => {}
            (Some(part), Some(remedy)) => assert!(remedy.contains(part), "{finding:?}"),
            _ => panic!("{finding:?}"),
        }
    }

    #[test]
    fn a_note_ends_with_its_remedy_where_it_has_one() {
        for (note, found, remedy) in [
            (
                "runs and stopped answering; `lockgate restart dev a` starts it again",
                "runs and stopped answering",
                Some("`lockgate restart dev a` starts it again"),
            ),
            (
                "reached a; b keeps it; `lockgate deploy dev` goes on",
                "reached a; b keeps it",
                Some("`lockgate deploy dev` goes on"),
            ),
            (
                "refused; nothing answered",
                "refused; nothing answered",
                None,
            ),
        ] {
            let finding = Finding::of_note(State::Error, note);
            assert_eq!(finding.found, found);
            assert_eq!(finding.remedy.as_deref(), remedy);
        }
    }

    #[test]
    fn an_error_of_a_command_is_told_with_its_causes_and_hints() {
        let error = CommandError::failed("cannot read `a`")
            .because_of("no such file\n")
            .hint("do this")
            .hint("or that");
        let finding = Finding::of(State::Warning, &error);
        check(
            &finding,
            State::Warning,
            "cannot read `a`: no such file",
            Some("do this; or that"),
        );
    }
}
