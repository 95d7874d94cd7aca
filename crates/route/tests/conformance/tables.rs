//! Tables that change while the door is open.

use lockgate_route::{FollowError, Followed};

use crate::doors::{Door, Driver, at_both_doors, in_a_vpn};
use crate::rig::{Application, Peer, ok};

at_both_doors! {
    a_route_counts_as_soon_as_it_is_set
    the_same_table_changes_nothing
}

async fn a_route_counts_as_soon_as_it_is_set(driver: Driver) {
    if !in_a_vpn() {
        return;
    }
    let container = tokio::net::TcpListener::bind("172.16.0.6:80")
        .await
        .unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = container.accept().await {
            let mut peer = Peer::new(stream);
            peer.head().await;
            peer.send(&ok("container")).await;
        }
    });
    let application = Application::answering(|_| ok("application")).await;
    let mut door = Door::open(driver, application.addr).await;
    for _ in 0..5 {
        door.set_routes("uc-1.x 172.16.0.6 80").await;
        let answer = door.say(&["GET / HTTP/1.1", "host: uc-1.x"]).await;
        assert_eq!(answer.body, "container");
        door.set_routes("").await;
        let answer = door.say(&["GET / HTTP/1.1", "host: uc-1.x"]).await;
        assert_eq!(answer.status(), 404);
    }
}

async fn the_same_table_changes_nothing(driver: Driver) {
    let application = Application::answering(|_| ok("application")).await;
    let mut door = Door::open(driver, application.addr).await;
    let lines = "uc-1.x 172.16.0.6 80\nuc-2.x 172.16.0.7 80";
    assert_eq!(door.set_routes(lines).await, Followed::Changed);
    let before = door.workers();
    let other_order = "uc-2.x. 172.16.0.7 80\nUC-1.x:7 172.16.0.6 80";
    assert_eq!(door.set_routes(other_order).await, Followed::Unchanged);
    assert_eq!(door.workers(), before);
}

#[tokio::test]
async fn nginx_keeps_its_configuration_when_the_next_one_is_refused() {
    let application = Application::answering(|_| ok("application")).await;
    let mut door = Door::open(Driver::Nginx, application.addr).await;
    let (config, workers) = (door.config(), door.workers());
    // An address with a zone, which nginx cannot read.
    let zoned = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, 7);
    let refused = door.follow_to(zoned.into()).await.unwrap_err();
    let FollowError::Refused { said, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert!(said.contains("fe80"), "{said}");
    assert_eq!((door.config(), door.workers()), (config, workers));
    assert_eq!(door.ask("/").await.body, "application");
    door.set_routes("uc-1.x 172.16.0.6 80").await;
    assert_eq!(door.ask("/").await.body, "application");
}

#[tokio::test]
async fn nginx_goes_on_with_websockets_over_a_change_of_routes() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
        while let Some(line) = peer.until("\n").await {
            peer.send(&line).await;
        }
    })
    .await;
    let mut door = Door::open(Driver::Nginx, application.addr).await;
    let mut client = door.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    client.head().await.unwrap();
    door.set_routes("uc-1.x 172.16.0.6 80").await;
    client.send("still there\n").await;
    assert_eq!(client.until("\n").await.as_deref(), Some("still there\n"));
}
