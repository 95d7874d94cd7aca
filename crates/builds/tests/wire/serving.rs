//! Archives as clients of any kind see them.

use std::io::Read as _;

use lockgate_model::{Digest, protocol};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{House, Reply, TOKEN, env};

fn identity(house: &House) -> Vec<u8> {
    let build = house.packed.manifest.build.as_str();
    let folder = house.store.dir().join("dev/builds").join(build);
    std::fs::read(folder.join("archive.tar")).unwrap()
}

fn current(house: &House) -> Vec<u8> {
    std::fs::read(house.store.current_path(&env())).unwrap()
}

#[tokio::test]
async fn the_current_archive_is_a_plain_gzip() {
    let house = House::start().await;
    let path = protocol::archive_path(&env());
    let reply = house
        .ask("GET", &path, &["accept-encoding: gzip, zstd"])
        .await;
    let expected = current(&house);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/gzip"));
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    let length = expected.len().to_string();
    assert_eq!(reply.header("content-length"), Some(length.as_str()));
    assert!(reply.body == expected);
    let digest = Digest::from_bytes(Sha256::digest(&expected).into());
    let etag = format!("\"{}\"", digest.hex());
    assert_eq!(reply.header("etag"), Some(etag.as_str()));
    assert!(
        reply
            .header("repr-digest")
            .unwrap()
            .starts_with("sha-256=:")
    );

    let head = house.ask("HEAD", &path, &[]).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    assert_eq!(head.header("etag"), Some(etag.as_str()));
    assert_eq!(head.header("repr-digest"), reply.header("repr-digest"));
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn ranges_and_preconditions_are_kept() {
    let house = House::start().await;
    let path = protocol::archive_path(&env());
    let whole = current(&house);
    let reply = house.ask("HEAD", &path, &[]).await;
    let etag = reply.header("etag").unwrap().to_owned();
    let ask = |line: &'static str| {
        let (house, path) = (&house, &path);
        async move { house.ask("GET", path, &[line]).await }
    };

    let part = ask("range: bytes=5-9").await;
    assert_eq!((part.status, &part.body[..]), (206, &whole[5..10]));
    let says = format!("bytes 5-9/{}", whole.len());
    assert_eq!(part.header("content-range"), Some(says.as_str()));
    assert_eq!(part.header("content-length"), Some("5"));
    // The digest is of the whole, so a client that puts parts together can check it.
    assert!(part.header("repr-digest").is_some());

    let last = ask("range: bytes=-3").await;
    assert_eq!(
        (last.status, &last.body[..]),
        (206, &whole[whole.len() - 3..])
    );
    assert_eq!(ask("range: bytes=0-1,3-4").await.status, 200);
    let outside = ask("range: bytes=99999999-").await;
    assert_eq!(outside.status, 416);
    let says = format!("bytes */{}", whole.len());
    assert_eq!(outside.header("content-range"), Some(says.as_str()));

    let same = house
        .ask("GET", &path, &[&format!("if-none-match: {etag}")])
        .await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), Some(etag.as_str()));
    // It would be the length of what 200 sends, and that is not nothing.
    assert_eq!(same.header("content-length"), None);
    assert_eq!(ask("if-none-match: \"other\"").await.status, 200);
    assert_eq!(ask("if-match: \"other\"").await.status, 412);
    let both = [format!("if-range: {etag}"), "range: bytes=0-0".to_owned()];
    let both = house.ask("GET", &path, &[&both[0], &both[1]]).await;
    assert_eq!(both.status, 206);
    let other = ["if-range: \"other\"", "range: bytes=0-0"];
    assert_eq!(house.ask("GET", &path, &other).await.status, 200);
}

#[tokio::test]
async fn a_build_comes_in_the_encoding_that_is_asked_for() {
    let house = House::start().await;
    let path = house.build_path();
    let expected = identity(&house);
    let ask = |line: &'static str| {
        let (house, path) = (&house, &path);
        async move { house.ask_with_token("GET", path, &[line]).await }
    };
    let plain = house.ask_with_token("GET", &path, &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("content-type"), Some("application/x-tar"));
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    assert!(plain.body == expected);
    assert_eq!(expected.len() as u64, house.packed.manifest.archive_bytes);

    let zstd = ask("accept-encoding: gzip, zstd").await;
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert!(zstd::decode_all(&zstd.body[..]).unwrap() == expected);
    assert_ne!(zstd.header("etag"), plain.header("etag"));

    let gzip = ask("accept-encoding: gzip, zstd;q=0.5").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut size = vec![0; expected.len()];
    let count = libdeflater::Decompressor::new()
        .gzip_decompress(&gzip.body, &mut size)
        .unwrap();
    assert!(size[..count] == expected[..]);
    assert_eq!(ask("accept-encoding: identity;q=0").await.status, 406);

    let manifest = protocol::manifest_path(&env(), &house.packed.manifest.build);
    let manifest = house.ask_with_token("GET", &manifest, &[]).await;
    let digest = Digest::from_bytes(Sha256::digest(&manifest.body).into());
    assert_eq!(digest, house.packed.manifest_digest);
}

#[tokio::test]
async fn a_download_under_way_is_untouched_by_a_new_build() {
    let house = House::start().await;
    let before = identity(&house);
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlockgate-protocol: 1\r\nauthorization: Bearer {TOKEN}\r\n\r\n",
        house.build_path()
    );
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    house.store.remove_env(&env()).unwrap();
    let rest = Reply::read(stream).await;
    assert!(rest.body == before);
}

#[tokio::test]
async fn the_archive_follows_the_store() {
    let house = House::start().await;
    let path = protocol::archive_path(&env());
    let first = house.ask("GET", &path, &[]).await;
    let next = house.pack("listen(8888) // 2");
    house
        .store
        .make_current(&env(), &next.manifest.build)
        .unwrap();
    let second = house.ask("GET", &path, &[]).await;
    assert!(second.body == current(&house) && second.body != first.body);
    let mut names = Vec::new();
    let mut text = Vec::new();
    let size = usize::try_from(next.manifest.archive_bytes).unwrap();
    let mut archive = vec![0; size];
    libdeflater::Decompressor::new()
        .gzip_decompress(&second.body, &mut archive)
        .unwrap();
    for entry in tar::Archive::new(&archive[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        if name.ends_with("main.js") {
            entry.read_to_end(&mut text).unwrap();
        }
        names.push(name);
    }
    assert_eq!(names.first().unwrap(), "gateway/");
    assert_eq!(text, b"listen(8888) // 2");
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let house = House::start().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let one = format!("GET /healthz HTTP/1.1\r\nhost: {}\r\n\r\n", house.address);
    let last = one.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    stream
        .write_all(format!("{one}{one}{one}{last}").as_bytes())
        .await
        .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all.matches("200 OK").count(), 4);
}
