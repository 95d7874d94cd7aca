//! Why a build failed: what the engine was at, told as what to do.

use std::path::Path;

use super::recipe::Trial;
use crate::error::CommandError;

/// What a build has said so far.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The step it is at, as the Dockerfile has it.
    step: String,
    /// What was written since.
    output: Vec<String>,
    /// The version that the agent said; nothing where the engine knew the step from before.
    version: Option<String>,
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
            return true;
        }
        if self.trial() == Some(Trial::Agent)
            && let Some(version) = line.strip_prefix("lockgate-agent ")
        {
            self.version = Some(version.to_owned());
        }
        self.output.push(line.to_owned());
        true
    }

    /// Fails when the agent that was tried is of another version.
    pub(crate) fn check_version(&self, agent: &Path, ours: &str) -> Result<(), CommandError> {
        match &self.version {
            Some(version) if version != ours => Err(CommandError::failed(format!(
                "`{}` is version {version}, `lockgate` is {ours}",
                agent.display()
            ))
            .hint("both come out of one build: `just build`")),
            _ => Ok(()),
        }
    }

    /// What was tried when the build failed, if something was.
    fn trial(&self) -> Option<Trial> {
        Trial::ALL.into_iter().find(|it| it.step() == self.step)
    }

    /// The error for a build that ended with `message`.
    pub(crate) fn failure(&self, base: &str, message: &str) -> CommandError {
        let told = match self.trial() {
            Some(Trial::Agent) => CommandError::failed(format!(
                "`lockgate-agent` does not run in an image from `{base}`"
            )),
            Some(Trial::Node) => CommandError::failed(format!("`{base}` has no `node` that runs")),
            Some(Trial::Nginx) => {
                CommandError::failed(format!("`{base}` has no `nginx` that runs"))
            }
            None => CommandError::failed(format!("the engine cannot build from `{base}`")),
        };
        let told = self
            .output
            .iter()
            .fold(told, |told, line| told.because_of(line.clone()))
            .because_of(message.trim());
        match self.trial() {
            Some(Trial::Agent) => told.hint(
                "a static agent of the image's machine runs in any image: `just build` makes one, and LOCKGATE_AGENT names it",
            ),
            Some(Trial::Node) => told.hint(
                "put Node 20 or newer on the base's PATH, or build from the base that `image/Dockerfile` makes",
            ),
            Some(Trial::Nginx) => told.hint(
                "install nginx in the base, or build from the base that `image/Dockerfile` makes",
            ),
            None => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::paint::Paint;

    fn check(lines: &[&str], message: &str, expected: &str) {
        let mut heard = Heard::default();
        for line in lines {
            heard.line(line);
        }
        let text = heard.failure("acme:7", message).render(Paint::new(false));
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn an_agent_that_does_not_run_is_told_with_what_it_wrote() {
        check(
            &[
                "Step 4/9 : COPY lockgate-agent /usr/local/bin/lockgate-agent",
                "---> 1f2e",
                r#"Step 5/9 : RUN ["/usr/local/bin/lockgate-agent", "--version"]"#,
                "---> Running in 77aa",
                "lockgate-agent: version `GLIBC_2.39' not found",
                "Removing intermediate container 77aa",
            ],
            "returned a non-zero code: 1\n",
            "error: `lockgate-agent` does not run in an image from `acme:7`\n  \
             caused by: lockgate-agent: version `GLIBC_2.39' not found\n  \
             caused by: returned a non-zero code: 1\n  hint: a static agent",
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        check(
            &[r#"Step 6/9 : RUN ["node", "--version"]"#],
            "not found",
            "error: `acme:7` has no `node` that runs\n  caused by: not found\n  hint: put Node 20",
        );
        check(
            &["v24.1.0", r#"Step 7/9 : RUN ["nginx", "-v"]"#],
            "not found",
            "error: `acme:7` has no `nginx` that runs\n  caused by: not found\n  hint: install nginx",
        );
    }

    #[test]
    fn an_agent_of_another_version_is_refused() {
        let mut heard = Heard::default();
        assert!(heard.check_version(Path::new("agent"), "1.2.3").is_ok());
        heard.line(r#"Step 5/9 : RUN ["/usr/local/bin/lockgate-agent", "--version"]"#);
        heard.line("lockgate-agent 1.2.2");
        heard.line(r#"Step 6/9 : RUN ["node", "--version"]"#);
        assert!(heard.check_version(Path::new("agent"), "1.2.2").is_ok());
        let error = heard
            .check_version(Path::new("agent"), "1.2.3")
            .unwrap_err();
        let text = error.render(Paint::new(false));
        assert!(text.starts_with("error: `agent` is version 1.2.2, `lockgate` is 1.2.3"));
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
