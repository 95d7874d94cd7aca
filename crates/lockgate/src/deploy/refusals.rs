//! Builds that gateways gave up on, remembered when the gateways run something else again.
//!
//! A gateway reports only its last refusal, and a server that starts anew knows none. So what
//! is seen before and after each deploy is kept in `envs/{env}/refused.json`: `rollback` goes
//! past such builds, `builds` marks them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lockgate_model::{BuildId, EnvName, Phase, Report};

use crate::error::CommandError;
use crate::home::{Home, durable};
use crate::server::control::{ControlClient, GatewaysView};

/// Builds, each with why it was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusals(BTreeMap<BuildId, String>);

impl Refusals {
    /// What is written down, and what gateways say now, where a server can be asked.
    pub(crate) async fn known(
        home: &Home,
        env: &EnvName,
        control: Option<&ControlClient>,
    ) -> Result<(Self, Option<GatewaysView>), CommandError> {
        let mut known = Self::load(home, env)?;
        let Some(control) = control else {
            return Ok((known, None));
        };
        let view = control.gateways(env, None, Duration::ZERO).await?;
        known.see(&view);
        Ok((known, Some(view)))
    }

    /// Reads the environment's file. What it does not understand it forgets: the next deploy
    /// writes the file anew.
    pub(crate) fn load(home: &Home, env: &EnvName) -> Result<Self, CommandError> {
        let path = file(home, env);
        match std::fs::read(&path) {
            Ok(text) => Ok(Self(serde_json::from_slice(&text).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(
                CommandError::failed(format!("cannot read `{}`", path.display())).because(&error),
            ),
        }
    }

    /// Takes in how gateways stand: a build that runs is good again, one that is refused is not.
    pub(crate) fn see(&mut self, view: &GatewaysView) {
        let reports = || view.gateways.iter().filter_map(|one| one.report.as_ref());
        for report in reports().filter(|report| report.phase == Phase::Ready) {
            if let Some(running) = &report.running {
                self.0.remove(&running.build);
            }
        }
        let refused = reports().filter_map(|report| {
            let refused = report.refused.as_ref()?;
            gave_up(report, &refused.build).then_some(refused)
        });
        for refused in refused {
            self.0.insert(refused.build.clone(), refused.reason.clone());
        }
    }

    /// Writes down what concerns builds that are still there.
    pub(crate) fn save(
        mut self,
        home: &Home,
        env: &EnvName,
        stored: &[BuildId],
    ) -> Result<(), CommandError> {
        self.0.retain(|build, _| stored.contains(build));
        if self == Self::load(home, env)? {
            return Ok(());
        }
        let path = file(home, env);
        serde_json::to_vec(&self.0)
            .map_err(io::Error::other)
            .and_then(|text| durable::write(&path, &text))
            .map_err(|error| {
                CommandError::failed(format!("cannot write `{}`", path.display())).because(&error)
            })
    }

    /// Why a build was refused, if it was.
    pub(crate) fn reason(&self, build: &BuildId) -> Option<&str> {
        self.0.get(build).map(String::as_str)
    }

    /// These, for tests.
    #[cfg(test)]
    pub(crate) fn of(refused: impl IntoIterator<Item = (BuildId, String)>) -> Self {
        Self(refused.into_iter().collect())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&BuildId, &str)> {
        self.0
            .iter()
            .map(|(build, reason)| (build, reason.as_str()))
    }
}

/// Whether a gateway refused this build. One that runs what it refused gave up only new
/// settings of it.
pub(crate) fn gave_up(report: &Report, build: &BuildId) -> bool {
    let refused = report.refused.as_ref().map(|it| &it.build);
    let runs = report.running.as_ref().map(|it| &it.build);
    refused == Some(build) && runs != Some(build)
}

fn file(home: &Home, env: &EnvName) -> PathBuf {
    home.env_dir(env).join("refused.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::control::GatewayView;
    use lockgate_model::{GatewayName, Refusal, Running};

    fn build(digit: char) -> BuildId {
        BuildId::parse(&digit.to_string().repeat(12)).unwrap()
    }

    /// A gateway for each pair: what it runs, what it refused.
    fn view(gateways: &[(char, Option<char>)]) -> GatewaysView {
        let gateway = |(number, (runs, refused)): (u32, &(char, Option<char>))| {
            let name = GatewayName::new(&EnvName::parse("dev-001").unwrap(), number);
            GatewayView {
                name: name.clone(),
                http_port: 7100,
                vpn_port: 49100,
                enabled: true,
                agent_pid: Some(1),
                agent_problem: None,
                agent_stuck: false,
                container: None,
                reach: crate::runtime::Reach::default(),
                last_contact: None,
                report: Some(Report {
                    seq: 1,
                    settled: 1,
                    phase: Phase::Ready,
                    running: Some(Running {
                        build: build(*runs),
                        pid: 2,
                        since: 0,
                    }),
                    refused: refused.map(|digit| Refusal {
                        unavailable_ms: None,
                        build: build(digit),
                        seq: 1,
                        reason: "exited".to_owned(),
                        log: Vec::new(),
                    }),
                    ..Report::of_new_agent(name, "0.1.0", 1)
                }),
            }
        };
        GatewaysView {
            services: Vec::new(),
            version: 1,
            gateways: (0..).zip(gateways).map(gateway).collect(),
        }
    }

    fn check(seen: &[&[(char, Option<char>)]], expected: &str) {
        let mut refusals = Refusals::default();
        for gateways in seen {
            refusals.see(&view(gateways));
        }
        let known: Vec<_> = refusals.iter().map(|(build, _)| build.clone()).collect();
        assert_eq!(known, expected.chars().map(build).collect::<Vec<_>>());
    }

    #[test]
    fn a_refused_build_is_remembered_until_it_runs() {
        check(&[], "");
        check(&[&[('a', Some('b'))], &[('a', None)]], "b");
        check(&[&[('a', Some('b'))], &[('a', Some('c'))]], "bc");
        check(&[&[('a', Some('b'))], &[('b', None)]], "");
        // Only its settings were refused.
        check(&[&[('b', Some('b'))]], "");
        // One gateway that refuses it is enough.
        check(&[&[('b', None), ('a', Some('b'))]], "b");
        check(&[&[('a', Some('b')), ('b', None)]], "b");
    }

    #[test]
    fn what_was_refused_outlives_the_command_as_long_as_the_build() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path(), folder.path(), folder.path());
        let env = EnvName::parse("dev-001").unwrap();
        std::fs::create_dir_all(home.env_dir(&env)).unwrap();
        let mut refusals = Refusals::load(&home, &env).unwrap();
        refusals.see(&view(&[('a', Some('b')), ('a', Some('c'))]));
        refusals
            .save(&home, &env, &[build('a'), build('b')])
            .unwrap();
        let read = Refusals::load(&home, &env).unwrap();
        assert_eq!(read.reason(&build('b')), Some("exited"));
        assert_eq!(read.reason(&build('c')), None);
    }
}
