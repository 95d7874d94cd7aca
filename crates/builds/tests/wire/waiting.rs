//! Blocking queries: who is woken, who is ended, and when.

use std::time::Duration;

use lockgate_builds::client::ClientError;
use lockgate_builds::fetch::{self, FetchError};
use lockgate_builds::sign::SigningKey;
use lockgate_model::{GatewayName, Report};

use tokio::time::Instant;

use crate::house::{House, OTHER_TOKEN, TOKEN, env, gateway};

/// Longer than any test that does not hang.
const LONG: Duration = Duration::from_secs(50);

fn report() -> Report {
    Report::of_new_agent(gateway(), "0.0.0", 1)
}

#[tokio::test]
async fn a_different_number_is_answered_at_once() {
    let house = House::start().await;
    let (client, key) = (house.client(TOKEN), house.key.public());
    let gateway = gateway();
    let ask = |after, wait| fetch::desired(&client, &key, &gateway, after, wait);
    assert!(ask(0, Duration::ZERO).await.unwrap().is_none());
    let statement = house.statement(&house.packed, 7);
    house.publish(&statement);
    for after in [0, 6, 8] {
        let (found, signed) = ask(after, LONG).await.unwrap().unwrap();
        assert_eq!(found, statement);
        assert_eq!(key.open(&signed).unwrap(), statement);
    }
    let asked = Instant::now();
    assert!(ask(7, Duration::from_secs(1)).await.unwrap().is_none());
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(890), "{waited:?}");
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn a_ring_wakes_whoever_waits() {
    let house = House::start().await;
    let client = house.client(TOKEN);
    let key = house.key.public();
    let waiting =
        tokio::spawn(async move { fetch::desired(&client, &key, &gateway(), 0, LONG).await });
    until_contact(&house, &gateway()).await;
    // A ring without a change wakes nobody up for good.
    house.notice.ring();
    let rung = Instant::now();
    house.publish(&house.statement(&house.packed, 1));
    let (statement, _) = waiting.await.unwrap().unwrap().unwrap();
    assert_eq!(statement.seq, 1);
    assert!(
        rung.elapsed() < Duration::from_secs(2),
        "{:?}",
        rung.elapsed()
    );
}

async fn until_contact(house: &House, gateway: &GatewayName) {
    tokio::time::timeout(LONG, async {
        while house.reports.last_contact(gateway).is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_newer_query_ends_the_older() {
    let house = House::start().await;
    let ask = |token: &'static str, gateway: GatewayName| {
        let (client, key) = (house.client(token), house.key.public());
        tokio::spawn(async move { fetch::desired(&client, &key, &gateway, 0, LONG).await })
    };
    let other_gateway = GatewayName::new(&env(), 1);
    let first = ask(TOKEN, gateway());
    let other = ask(OTHER_TOKEN, other_gateway.clone());
    until_contact(&house, &gateway()).await;
    until_contact(&house, &other_gateway).await;
    // Whichever of the two comes later stays; the other is ended.
    let second = ask(TOKEN, gateway());
    let ended = tokio::time::timeout(LONG / 5, async {
        tokio::select! {
            ended = first => (ended, None),
            ended = second => (ended, Some(())),
        }
    });
    let (ended, _) = ended.await.unwrap();
    assert!(ended.unwrap().unwrap().is_none());
    assert!(!other.is_finished());
}

#[tokio::test]
async fn two_agents_with_one_token_do_not_chase_each_other() {
    let house = House::start().await;
    let (answered, mut answers) = tokio::sync::mpsc::channel(1);
    let started = Instant::now();
    for _ in 0..2 {
        let (client, key) = (house.client(TOKEN), house.key.public());
        let answered = answered.clone();
        tokio::spawn(async move {
            while let Ok(answer) = fetch::desired(&client, &key, &gateway(), 0, LONG).await {
                answered.send(answer).await.unwrap();
            }
        });
    }
    for _ in 0..2 {
        assert!(answers.recv().await.unwrap().is_none());
    }
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(1900), "{elapsed:?}");
}

#[tokio::test]
async fn a_stopping_server_ends_waits_and_returns() {
    let house = House::start().await;
    let (client, key) = (house.client(TOKEN), house.key.public());
    let waiting =
        tokio::spawn(async move { fetch::desired(&client, &key, &gateway(), 0, LONG).await });
    until_contact(&house, &gateway()).await;
    let stopped = Instant::now();
    house.stop.cancel();
    assert_eq!(house.served.await.unwrap().unwrap(), house.address);
    assert!(waiting.await.unwrap().unwrap().is_none());
    assert!(stopped.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_report_reaches_whoever_watches() {
    let house = House::start().await;
    let mut version = house.reports.version();
    fetch::put_report(&house.client(TOKEN), &report())
        .await
        .unwrap();
    version.changed().await.unwrap();
    let received = house.reports.all();
    assert_eq!(received[0].report, report());
    assert!(received[0].last_contact > 1_700_000_000_000);
    let refused = fetch::put_report(&house.client(OTHER_TOKEN), &report()).await;
    let FetchError::Client(ClientError::Status { status, text, .. }) = refused.unwrap_err() else {
        panic!("not a status");
    };
    assert_eq!(status, 403);
    assert!(text.contains("gw-pool-dev-1"), "{text}");
}

#[tokio::test]
async fn statements_of_other_keys_and_gateways_do_not_count() {
    let house = House::start().await;
    let client = house.client(TOKEN);
    let statement = house.statement(&house.packed, 1);
    house.publish(&statement);
    let stranger = SigningKey::generate().unwrap().public();
    let asked = fetch::desired(&client, &stranger, &gateway(), 0, LONG).await;
    assert!(
        matches!(asked, Err(FetchError::Signature { .. })),
        "{asked:?}"
    );

    let mut foreign = house.statement(&house.packed, 2);
    foreign.gateway = GatewayName::new(&env(), 1);
    let signed = house.key.sign(&foreign).unwrap();
    house.store.put_statement(&gateway(), 2, &signed).unwrap();
    let asked = fetch::desired(&client, &house.key.public(), &gateway(), 0, LONG).await;
    assert!(
        matches!(asked, Err(FetchError::OtherGateway { .. })),
        "{asked:?}"
    );
}
