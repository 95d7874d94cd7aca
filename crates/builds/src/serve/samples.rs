//! Values that tests of this module share.

use lockgate_model::{GatewayName, Phase, Report, Timings};

pub(crate) fn report(gateway: &str) -> Report {
    let gateway = GatewayName::parse(gateway).unwrap();
    Report {
        env: gateway.env(),
        gateway,
        agent_version: "0.1.0".to_owned(),
        agent_pid: 1,
        seq: 0,
        settled: 0,
        desired_build: None,
        phase: Phase::Waiting,
        running: None,
        restarts: 0,
        refused: None,
        problem: None,
        timings: Timings::default(),
    }
}
