//! Why a build failed: what the engine was at, told as what to do.

use std::path::Path;

use bollard::errors::Error;

use super::DEFAULT_BASE;
use super::recipe::Needed;
use super::reference::Reference;
use crate::error::CommandError;

/// What the engine says of a failed request, without the words of the library around it.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// Whether the engine says that there is no such thing.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// What a build has said so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The step it is at, as the Dockerfile has it.
    step: String,
    /// What was written since.
    output: Vec<String>,
}

impl Heard {
    /// Takes a line of the build's output; false where it is only about the builder's own
    /// layers and containers.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        let own = ["--->", "Removing intermediate container"];
        if line.is_empty() || own.iter().any(|begin| line.starts_with(begin)) {
            return false;
        }
        let step = line
            .strip_prefix("Step ")
            .and_then(|rest| rest.split_once(" : "));
        if let Some((_, step)) = step {
            step.clone_into(&mut self.step);
            self.output.clear();
        } else {
            self.output.push(line.to_owned());
        }
        true
    }

    /// The error for a build that ended with `message`.
    pub(crate) fn failure(&self, base: &Reference, message: &str) -> CommandError {
        let needed = Needed::ALL.into_iter().find(|it| it.step() == self.step);
        let what = match needed {
            Some(Needed::Node) => format!("`{base}` has no `node` that runs"),
            Some(Needed::Nginx) => format!("`{base}` has no `nginx` that runs"),
            None => format!("the engine cannot build from `{base}`"),
        };
        let told = caused_by(CommandError::failed(what), &self.output, message);
        match needed {
            Some(Needed::Node) => told.hint(
                "put Node 20 or newer on the base's PATH, or build from the base that `image/Dockerfile` makes",
            ),
            Some(Needed::Nginx) => told.hint(
                "install nginx in the base, or build from the base that `image/Dockerfile` makes",
            ),
            None => told,
        }
    }
}

/// The error for an agent that was tried in an image and did not start.
pub(crate) fn agent_failed(base: &Reference, output: &[String], message: &str) -> CommandError {
    let what = format!("`lockgate-agent` does not run in an image from `{base}`");
    caused_by(CommandError::failed(what), output, message).hint(
        "a static agent of the image's machine runs in any image: `just build` makes one, and LOCKGATE_AGENT names it",
    )
}

/// The error for an agent that cannot be read.
pub(crate) fn no_agent(agent: &Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("cannot read the agent `{}`", agent.display()))
        .because(error)
        .hint("it comes out of the same build as `lockgate` and lies beside it; LOCKGATE_AGENT names another")
}

/// Refuses an agent that says it is of another version than this program.
pub(crate) fn check_version(agent: &Path, said: &[String], ours: &str) -> Result<(), CommandError> {
    let version = said
        .iter()
        .find_map(|line| line.strip_prefix("lockgate-agent "));
    if version == Some(ours) {
        return Ok(());
    }
    let agent = agent.display();
    let told = match version {
        Some(version) => CommandError::failed(format!(
            "`{agent}` is version {version}, `lockgate` is {ours}"
        )),
        None => CommandError::failed(format!("`{agent}` is no `lockgate-agent`")),
    };
    Err(told.hint("both come out of one build: `just build`"))
}

fn caused_by(told: CommandError, output: &[String], message: &str) -> CommandError {
    output
        .iter()
        .fold(told, |told, line| told.because_of(line.clone()))
        .because_of(message.trim())
}

/// The error for a base that could not be pulled, as the engine says why.
pub(crate) fn not_pulled(base: &Reference, why: &str) -> CommandError {
    let told = CommandError::failed(format!(
        "the base image `{base}` is not here and cannot be pulled"
    ))
    .because_of(why.trim());
    if base.as_str() == DEFAULT_BASE {
        return told
            .hint(format!(
                "where a registry can be reached: `docker build -t {base} image` makes it from image/Dockerfile"
            ))
            .hint(format!(
                "where none can: `image/base.sh base.tar`, then `docker import base.tar {base}`; or `--base` names another"
            ));
    }
    told.hint(format!(
        "is the name right? Where its registry wants a login, `docker pull {base}` gets it first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::paint::Paint;

    #[test]
    fn a_base_that_is_nowhere_is_told_with_how_to_get_one() {
        let told = |base: &str| {
            let error = not_pulled(&base.parse().unwrap(), "no route\n");
            error.render(Paint::new(false))
        };
        let ours = told(DEFAULT_BASE);
        let first = format!(
            "error: the base image `{DEFAULT_BASE}` is not here and cannot be pulled\n  \
             caused by: no route\n"
        );
        assert!(ours.starts_with(&first), "{ours}");
        for part in [
            format!("`docker build -t {DEFAULT_BASE} image`"),
            format!("`docker import base.tar {DEFAULT_BASE}`"),
        ] {
            assert!(ours.contains(&part), "{ours}");
        }
        let other = told("acme/base:7");
        assert!(other.contains("`docker pull acme/base:7`"), "{other}");
        assert!(!other.contains("base.sh"), "{other}");
    }

    fn base() -> Reference {
        "acme:7".parse().unwrap()
    }

    fn check(lines: &[&str], message: &str, expected: &str) {
        let mut heard = Heard::default();
        for line in lines {
            heard.line(line);
        }
        let text = heard.failure(&base(), message).render(Paint::new(false));
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn an_agent_that_does_not_run_is_told_with_what_it_wrote() {
        let output = ["version `GLIBC_2.39' not found".to_owned()];
        let error = agent_failed(&base(), &output, "exit code 1");
        let text = error.render(Paint::new(false));
        assert!(
            text.starts_with(
                "error: `lockgate-agent` does not run in an image from `acme:7`\n  \
                 caused by: version `GLIBC_2.39' not found\n  \
                 caused by: exit code 1\n  hint: a static agent"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        check(
            &[
                r#"Step 2/9 : RUN ["node", "--version"]"#,
                "---> Running in 77aa",
                "Removing intermediate container 77aa",
            ],
            "not found\n",
            "error: `acme:7` has no `node` that runs\n  caused by: not found\n  hint: put Node 20",
        );
        check(
            &["v24.1.0", r#"Step 3/9 : RUN ["nginx", "-v"]"#],
            "not found",
            "error: `acme:7` has no `nginx` that runs\n  caused by: not found\n  hint: install nginx",
        );
    }

    #[test]
    fn an_agent_of_another_version_is_refused() {
        let check = |said: &str, expected: &str| {
            let told = check_version(Path::new("agent"), &[said.to_owned()], "1.2.3");
            let text = told.unwrap_err().render(Paint::new(false));
            assert!(text.starts_with(expected), "{text}");
        };
        check(
            "lockgate-agent 1.2.2",
            "error: `agent` is version 1.2.2, `lockgate` is 1.2.3",
        );
        check("GNU bash", "error: `agent` is no `lockgate-agent`");
        let ours = ["lockgate-agent 1.2.3".to_owned()];
        assert!(check_version(Path::new("agent"), &ours, "1.2.3").is_ok());
    }

    #[test]
    fn anything_else_is_told_as_the_engine_says_it() {
        check(
            &["Step 1/9 : FROM acme:7"],
            "no space left on device",
            "error: the engine cannot build from `acme:7`\n  caused by: no space left on device\n",
        );
    }
}
