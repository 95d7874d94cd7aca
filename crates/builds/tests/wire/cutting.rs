//! Archives that are cut, or hold something else: none becomes a release.

use std::fs;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fetching::{build_folder, check, names};
use crate::house::House;

/// A server that sends the real manifest, and of the archive what `cut` leaves.
async fn server_that_cuts(
    house: &House,
    announced: usize,
    sent: Vec<u8>,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let manifest = fs::read(build_folder(house).join("manifest.json")).unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let wants_manifest = head.windows(13).any(|part| part == b"manifest.json");
            let (length, body) = if wants_manifest {
                (manifest.len(), &manifest)
            } else {
                (announced, &sent)
            };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            // The client may have had enough before all is sent.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.write_all(body).await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_cut_download_leaves_nothing() {
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let archive = fs::read(build_folder(&house).join("archive.tar")).unwrap();
    for sent in [0, 1, 512, archive.len() / 2, archive.len() - 1] {
        let part = archive[..sent].to_vec();
        let (address, task) = server_that_cuts(&house, archive.len(), part.clone()).await;
        check(&house, address, &statement, "broke").await;
        task.abort();
        // A server that ends early and says that this was all.
        let (address, task) = server_that_cuts(&house, sent, part).await;
        check(&house, address, &statement, "is refused").await;
        task.abort();
    }
    let mut longer = archive.clone();
    longer.extend([0; 512]);
    let (address, task) = server_that_cuts(&house, longer.len(), longer).await;
    check(&house, address, &statement, "longer than").await;
    task.abort();
}

/// The store's archive with one more entry in front.
fn with_entry(archive: &[u8], kind: tar::EntryType, name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    // Set by hand, since the library refuses names such as `..`.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..4].copy_from_slice(b"/etc");
    header.set_cksum();
    let mut made = tar::Builder::new(Vec::new());
    made.append(&header, content).unwrap();
    let mut bytes = made.into_inner().unwrap();
    // Without the two blocks that end an archive.
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(archive);
    bytes
}

#[tokio::test]
async fn archives_with_other_entries_leave_nothing() {
    use tar::EntryType;
    let house = House::start().await;
    let statement = house.statement(&house.packed, 1);
    let archive = fs::read(build_folder(&house).join("archive.tar")).unwrap();
    let main = b"listen(8888)";
    for (kind, name, content, why) in [
        (
            EntryType::Symlink,
            "gateway/app",
            &b""[..],
            "neither a regular file nor a folder",
        ),
        (
            EntryType::Link,
            "gateway/app-gateway/main.js",
            b"",
            "neither a regular file",
        ),
        (
            EntryType::Fifo,
            "gateway/app-gateway/main.js",
            b"",
            "neither a regular file",
        ),
        (
            EntryType::Regular,
            "gateway/../../escaped",
            b"x",
            "not in the manifest",
        ),
        (
            EntryType::Regular,
            "/tmp/escaped",
            b"x",
            "not in the manifest",
        ),
        (
            EntryType::Regular,
            "gateway/extra.js",
            b"x",
            "not in the manifest",
        ),
        (
            EntryType::Directory,
            "gateway/extra/",
            b"",
            "none of the manifest's files",
        ),
        (
            EntryType::Regular,
            "gateway/app-gateway/main.js",
            main,
            "and that twice",
        ),
    ] {
        let made = with_entry(&archive, kind, name, content);
        let (address, task) = server_that_cuts(&house, made.len(), made).await;
        check(&house, address, &statement, why).await;
        task.abort();
    }
    assert_eq!(names(house.dir.path()), ["builds", "releases", "workspace"]);
}
