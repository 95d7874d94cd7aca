//! The Dockerfile of a gateway image, and what the engine needs to build it.

use std::fmt::Write as _;
use std::io;

/// Where the agent lies in an image.
pub(crate) const AGENT: &str = "/usr/local/bin/lockgate-agent";
/// Where the agent lies in the build's context.
const AGENT_IN_CONTEXT: &str = "lockgate-agent";
/// Where programs are looked for in a base that does not say it: imported images say nothing.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the engine asks whether a gateway is well. The agent answers from memory within
/// five seconds; a boot may take a minute before a failure counts.
const HEALTHCHECK: &str = "--interval=10s --timeout=6s --start-period=60s --retries=3";

/// What a base must have, tried by starting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// Node.
    Node,
    /// nginx.
    Nginx,
}

impl Needed {
    /// In the order in which they are tried.
    pub(crate) const ALL: [Self; 2] = [Self::Node, Self::Nginx];

    /// The step of the Dockerfile, as the engine names it. Without a shell: a base needs none.
    pub(crate) fn step(self) -> String {
        let (program, flag) = match self {
            Self::Node => ("node", "--version"),
            Self::Nginx => ("nginx", "-v"),
        };
        format!(r#"RUN ["{program}", "{flag}"]"#)
    }
}

/// What an image is made from.
#[derive(Debug)]
pub(crate) struct Recipe<'a> {
    /// The base's name.
    pub(crate) base: &'a str,
    /// Whether the base says where programs are looked for.
    pub(crate) base_has_path: bool,
    /// The agent's version.
    pub(crate) version: &'a str,
}

/// The Dockerfile. The agent comes last, so that a new one finds the rest in the engine's cache.
pub(crate) fn dockerfile(recipe: &Recipe<'_>) -> String {
    let Recipe { base, version, .. } = recipe;
    let mut text = format!("FROM {base}\n");
    // Writing to a String cannot fail.
    if !recipe.base_has_path {
        let _ = writeln!(text, "ENV PATH={PATH}");
    }
    for needed in Needed::ALL {
        let _ = writeln!(text, "{}", needed.step());
    }
    let _ = writeln!(text, "ENV LOCKGATE_DOOR=nginx");
    let _ = writeln!(
        text,
        r#"HEALTHCHECK {HEALTHCHECK} CMD ["{AGENT}", "status", "--check"]"#
    );
    let _ = writeln!(text, r#"ENTRYPOINT ["{AGENT}", "run"]"#);
    // What the base would have run is no argument of ours.
    let _ = writeln!(text, "CMD []");
    let _ = writeln!(
        text,
        "LABEL org.opencontainers.image.title=\"Lockgate gateway\" \\\n    \
         org.opencontainers.image.description=\"Runs a service behind lockgate-agent\" \\\n    \
         org.opencontainers.image.version=\"{version}\" \\\n    \
         org.opencontainers.image.licenses=\"MIT OR Apache-2.0\" \\\n    \
         org.opencontainers.image.base.name=\"{base}\" \\\n    \
         io.lockgate.agent=\"{version}\""
    );
    let _ = writeln!(text, "COPY {AGENT_IN_CONTEXT} {AGENT}");
    text
}

/// The build's context: a tar with the Dockerfile and the agent.
pub(crate) fn context(dockerfile: &str, agent: &[u8]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::with_capacity(agent.len() + 8192));
    for (name, mode, bytes) in [
        ("Dockerfile", 0o644, dockerfile.as_bytes()),
        (AGENT_IN_CONTEXT, 0o755, agent),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, name, bytes)?;
    }
    tar.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(base_has_path: bool) -> Recipe<'static> {
        Recipe {
            base: "acme/base:7",
            base_has_path,
            version: "1.2.3",
        }
    }

    #[test]
    fn a_base_is_tried_first_and_the_agent_comes_last() {
        let text = dockerfile(&recipe(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines.get(..5).unwrap(),
            [
                "FROM acme/base:7",
                "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                r#"RUN ["node", "--version"]"#,
                r#"RUN ["nginx", "-v"]"#,
                "ENV LOCKGATE_DOOR=nginx",
            ]
        );
        assert_eq!(
            *lines.last().unwrap(),
            "COPY lockgate-agent /usr/local/bin/lockgate-agent"
        );
        for part in [
            r#"ENTRYPOINT ["/usr/local/bin/lockgate-agent", "run"]"#,
            r#"CMD ["/usr/local/bin/lockgate-agent", "status", "--check"]"#,
            "\nCMD []\n",
            r#"io.lockgate.agent="1.2.3""#,
            r#"org.opencontainers.image.base.name="acme/base:7""#,
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_base_that_has_a_path_keeps_it() {
        assert!(!dockerfile(&recipe(true)).contains("ENV PATH"));
    }

    #[test]
    fn the_context_holds_the_dockerfile_and_a_program() {
        let bytes = context("FROM x\n", b"\x7fELF").unwrap();
        let mut tar = tar::Archive::new(bytes.as_slice());
        let found: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                (name, entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("Dockerfile".to_owned(), 0o644, 7),
                ("lockgate-agent".to_owned(), 0o755, 4)
            ]
        );
    }
}
