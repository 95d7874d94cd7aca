//! Whom gateways are told to trust at their very first start.

use super::*;

#[tokio::test]
async fn what_the_front_door_needs_is_signed_before_a_gateway_starts() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    make(&home, &store, 1);
    let server = start(options).await.unwrap();
    // Nothing was awaited since: whoever was started found it.
    let is_there = home.trusted_file().exists();
    server.stop().await;
    assert!(is_there);
}

#[tokio::test]
async fn without_a_front_door_gateways_start_and_nothing_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.front.https = FrontPort::Off;
    let home = options.home.clone();
    let store = Store::open(home.builds()).unwrap();
    let environment = make(&home, &store, 1);
    let server = start(options).await.unwrap();
    let (control, _) = ControlClient::connect(&home).await.unwrap();
    until(&control, &environment, |view| pids(view)[0].is_some()).await;
    server.stop().await;
    assert!(!home.trusted_file().exists());
}
