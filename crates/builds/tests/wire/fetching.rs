//! From a statement to a release, and everything that must not become one.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use lockgate_builds::fetch::{
    FetchError, Step, collect_releases, fetch_release, release_present, sweep,
};
use lockgate_model::{BuildId, Digest, EnvName, Statement};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::house::{FOREIGN_TOKEN, House, TOKEN, client_to};

const QUIET: &(dyn Fn(Step) + Send + Sync) = &|_| {};

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// An error with its causes, as a program shows them.
fn sentence(error: &FetchError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_statement_becomes_a_release_once() {
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let releases = house.releases();
    assert!(!release_present(&statement, &releases));
    let steps = Mutex::new(Vec::new());
    let note = |step| steps.lock().unwrap().push(step);
    let fetched = fetch_release(&house.client(TOKEN), &statement, &releases, &note)
        .await
        .unwrap();
    assert_eq!(*steps.lock().unwrap(), [Step::Fetching, Step::Verifying]);
    assert_eq!(fetched.release, releases.join(statement.build.as_str()));
    let read = |path| fs::read_to_string(fetched.release.join(path)).unwrap();
    assert_eq!(read("app-gateway/main.js"), "listen(8888)");
    assert!(read("BUILD_INFO.txt").contains("Environment:"));
    assert!(release_present(&statement, &releases));
    assert_eq!(names(&releases), [".manifests", statement.build.as_str()]);

    // There already: nothing is asked.
    let nobody = client_to("127.0.0.1:1".parse().unwrap(), None);
    let again = fetch_release(&nobody, &statement, &releases, QUIET)
        .await
        .unwrap();
    assert!(again.fetch.is_zero());
}

#[tokio::test]
async fn a_release_that_is_not_whole_is_moved_aside() {
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let releases = house.releases();
    let release = releases.join(statement.build.as_str());
    fs::create_dir_all(&release).unwrap();
    fs::write(release.join("half"), "x").unwrap();
    fetch_release(&house.client(TOKEN), &statement, &releases, QUIET)
        .await
        .unwrap();
    assert!(release_present(&statement, &releases));
    assert!(!release.join("half").exists());
    fs::remove_file(release.join("app-gateway/main.js")).unwrap();
    assert!(!release_present(&statement, &releases));
    fetch_release(&house.client(TOKEN), &statement, &releases, QUIET)
        .await
        .unwrap();
    assert!(release_present(&statement, &releases));
    let aside = names(&releases)
        .iter()
        .filter(|name| name.starts_with(".broken-"))
        .count();
    assert_eq!(aside, 2);
    sweep(&releases).unwrap();
    assert_eq!(names(&releases), [".manifests", statement.build.as_str()]);
    assert!(release_present(&statement, &releases));
}

/// A fetch that fails for this reason and leaves the folder as it was.
pub(crate) async fn check(
    house: &House,
    client_address: SocketAddr,
    statement: &Statement,
    why: &str,
) {
    let releases = house.releases();
    let old = releases.join("aaaaaaaaaaaa");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("main.js"), "old").unwrap();
    let before = names(&releases);
    let client = client_to(client_address, Some(TOKEN));
    let error = fetch_release(&client, statement, &releases, QUIET)
        .await
        .unwrap_err();
    let said = sentence(&error);
    assert!(said.contains(why), "{said}\nshould say: {why}");
    assert!(
        said.contains(&client_address.to_string()),
        "{said}\nshould name the server"
    );
    assert_eq!(names(&releases), before);
    assert_eq!(fs::read_to_string(old.join("main.js")).unwrap(), "old");
}

pub(crate) fn build_folder(house: &House) -> std::path::PathBuf {
    let build = house.packed.manifest.build.as_str();
    house.store.dir().join("dev/builds").join(build)
}

#[tokio::test]
async fn other_manifests_than_the_signed_one_are_refused() {
    let house = House::start().await;
    let mut statement = house.statement(&house.packed, 1);
    statement.manifest = Digest::from_bytes([7; 32]);
    check(&house, house.address, &statement, "was signed").await;

    // The store's manifest is of another environment, and the statement signs that.
    let mut manifest = house.packed.manifest.clone();
    manifest.env = EnvName::parse("foreign").unwrap();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    fs::write(build_folder(&house).join("manifest.json"), &bytes).unwrap();
    statement.manifest = digest(&bytes);
    check(
        &house,
        house.address,
        &statement,
        "in environment `foreign`",
    )
    .await;
}

fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_bytes(sha2::Sha256::digest(bytes).into())
}

#[tokio::test]
async fn a_foreign_token_and_an_unknown_build_are_said() {
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let releases = house.releases();
    let foreign = house.client(FOREIGN_TOKEN);
    let error = fetch_release(&foreign, &statement, &releases, QUIET)
        .await
        .unwrap_err();
    assert!(sentence(&error).contains("403"), "{}", sentence(&error));
    assert!(names(&releases).is_empty());
    let mut unknown = statement;
    unknown.build = BuildId::parse("0123456789ab").unwrap();
    check(
        &house,
        house.address,
        &unknown,
        "has no build `0123456789ab`",
    )
    .await;
}

#[tokio::test]
async fn a_changed_byte_is_found() {
    let house = House::start().await;
    let path = build_folder(&house).join("archive.tar");
    let mut archive = fs::read(&path).unwrap();
    let text = b"listen(8888)";
    let at = archive
        .windows(text.len())
        .position(|part| part == text)
        .unwrap();
    archive[at] = b'L';
    fs::remove_file(&path).unwrap();
    fs::write(&path, &archive).unwrap();
    let statement = house.statement(&house.packed, 1);
    check(
        &house,
        house.address,
        &statement,
        "`app-gateway/main.js` has another content",
    )
    .await;
    archive.truncate(archive.len() / 2);
    fs::write(&path, &archive).unwrap();
    check(&house, house.address, &statement, "is refused").await;
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_nothing() {
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let archive = fs::read(build_folder(&house).join("archive.tar")).unwrap();
    // Sends half and then nothing, without closing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let manifest = fs::read(build_folder(&house).join("manifest.json")).unwrap();
    let (half, length) = (archive[..archive.len() / 2].to_vec(), archive.len());
    let server = tokio::spawn(async move {
        let mut kept = Vec::new();
        for body in [(manifest.len(), manifest), (length, half)] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.write_all(&body.1).await.unwrap();
            kept.push(stream);
        }
        kept
    });
    let releases = house.releases();
    let (client, folder) = (client_to(address, Some(TOKEN)), releases.clone());
    let fetching =
        tokio::spawn(async move { fetch_release(&client, &statement, &folder, QUIET).await });
    let _kept = server.await.unwrap();
    until(|| {
        names(&releases)
            .iter()
            .any(|name| name.starts_with(".fetch-"))
    })
    .await;
    fetching.abort();
    assert!(fetching.await.unwrap_err().is_cancelled());
    until(|| names(&releases).is_empty()).await;
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unreachable_server_is_told_from_one_that_says_no() {
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let client = client_to(address, Some(TOKEN));
    let error = fetch_release(&client, &statement, &house.releases(), QUIET)
        .await
        .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    let stranger = house.client("unknown");
    let error = fetch_release(&stranger, &statement, &house.releases(), QUIET)
        .await
        .unwrap_err();
    assert!(!error.is_unreachable());
    let FetchError::Client(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.status().unwrap(), 401);
}

#[tokio::test]
async fn old_releases_go_but_never_those_in_use() {
    let house = House::start().await;
    let releases = house.releases();
    let mut builds = Vec::new();
    for number in 0..5 {
        let packed = house.pack(&format!("listen({number})"));
        let statement = house.statement(&packed, number);
        fetch_release(&house.client(TOKEN), &statement, &releases, QUIET)
            .await
            .unwrap();
        builds.push(packed.manifest.build);
    }
    let removed = collect_releases(&releases, 2, &builds[..1]).unwrap();
    assert_eq!(removed, &builds[1..3]);
    let mut kept = vec![
        ".manifests",
        builds[0].as_str(),
        builds[3].as_str(),
        builds[4].as_str(),
    ];
    kept.sort_unstable();
    assert_eq!(names(&releases), kept);
    assert_eq!(names(&releases.join(".manifests")).len(), 3);
    assert!(
        collect_releases(&releases, 2, &builds[..1])
            .unwrap()
            .is_empty()
    );
    assert!(
        collect_releases(&releases.join("none"), 2, &[])
            .unwrap()
            .is_empty()
    );
}
