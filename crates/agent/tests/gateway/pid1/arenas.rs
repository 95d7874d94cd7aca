//! What the agent sets for itself is not the application's.

use super::{Gateway, Place, in_both_places};

in_both_places! {
    the_agent_has_one_arena_and_the_application_what_it_likes
}

fn environ(pid: i32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    text.split('\0').map(str::to_owned).collect()
}

async fn the_agent_has_one_arena_and_the_application_what_it_likes(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.start_agent();
    gateway.world.deploy_and_wait("1.0.0").await;
    let agent = environ(gateway.agent());
    assert!(
        agent.contains(&"MALLOC_ARENA_MAX=1".to_owned()),
        "{agent:?}"
    );
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", gateway.agent()));
    assert_eq!(comm.unwrap(), "lockgate-agent\n");
    let application = environ(gateway.application());
    let ours = |it: &&String| it.starts_with("MALLOC_") || it.starts_with("LOCKGATE_ONE");
    assert_eq!(application.iter().find(ours), None);
}
