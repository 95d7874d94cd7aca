//! Sites that are folders.

use std::os::unix::fs::symlink;
use std::path::Path;

use lockgate_model::Site;
use tempfile::TempDir;

use crate::rig::{Message, soon};
use crate::world::Front;

/// A site with some files, beside one that is nobody's business.
async fn site() -> (Front, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("site/index.html", "<h1>apex</h1>");
    write("site/app/index.html", "<h1>app</h1>");
    write("site/app/main.js", "main()");
    write("site/.env", "SECRET=1");
    write("outside.txt", "outside");
    write("beside/secret.txt", "secret");
    let site = dir.path().join("site");
    symlink("../outside.txt", site.join("out.txt")).unwrap();
    symlink(dir.path().join("beside"), site.join("beside")).unwrap();
    symlink("app/main.js", site.join("inside.js")).unwrap();
    std::fs::create_dir(site.join("empty")).unwrap();
    let front = Front::open().await;
    front.set_sites(Some(Site::Folder(site)), None);
    (front, dir)
}

async fn say(front: &Front, method: &str, path: &str, more: &str) -> Message {
    let mut client = front.client("dev.test").await;
    client
        .send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: dev.test\r\nconnection: close\r\n{more}\r\n"
        ))
        .await;
    let head = client.head().await.unwrap();
    let body = soon("the body", client.rest()).await;
    Message { head, body }
}

#[tokio::test]
async fn files_are_served_and_folders_by_their_index() {
    let (front, _dir) = site().await;
    for (path, kind, body) in [
        ("/", "text/html; charset=utf-8", "<h1>apex</h1>"),
        (
            "/index.html?x=1",
            "text/html; charset=utf-8",
            "<h1>apex</h1>",
        ),
        ("/app/", "text/html; charset=utf-8", "<h1>app</h1>"),
        ("/app/main.js", "text/javascript; charset=utf-8", "main()"),
        ("/inside.js", "text/javascript; charset=utf-8", "main()"),
    ] {
        let answer = say(&front, "GET", path, "").await;
        assert_eq!(
            (answer.status(), answer.body.as_str()),
            (200, body),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        let head = say(&front, "HEAD", path, "").await;
        assert_eq!((head.status(), head.body.as_str()), (200, ""), "{path}");
        assert_eq!(
            head.header("content-length"),
            answer.header("content-length")
        );
    }
    let answer = say(&front, "GET", "/app", "").await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.header("location"), Some("/app/"));
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served_and_nothing_hidden() {
    let (front, _dir) = site().await;
    for path in [
        "/out.txt",
        "/beside/secret.txt",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/.env",
        "/empty/",
        "/app/main.js/",
        "/nothing",
        "/etc/passwd",
    ] {
        let answer = say(&front, "GET", path, "").await;
        assert_eq!(answer.status(), 404, "{path}: {}", answer.body);
        for secret in ["outside", "SECRET", "secret"] {
            assert!(!answer.body.contains(secret), "{path}: {}", answer.body);
        }
    }
    let answer = say(&front, "POST", "/", "content-length: 0\r\n").await;
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again_until_it_changes() {
    let (front, dir) = site().await;
    let first = say(&front, "GET", "/app/main.js", "").await;
    let tag = first.header("etag").unwrap();
    let known = format!("if-none-match: {tag}\r\n");
    let again = say(&front, "GET", "/app/main.js", &known).await;
    assert_eq!((again.status(), again.body.as_str()), (304, ""));
    let file = dir.path().join("site/app/main.js");
    replace(&file, "main(2)");
    let changed = say(&front, "GET", "/app/main.js", &known).await;
    assert_eq!((changed.status(), changed.body.as_str()), (200, "main(2)"));
}

fn replace(file: &Path, text: &str) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

#[tokio::test]
async fn a_large_file_comes_whole() {
    let (front, dir) = site().await;
    let text = "0123456789".repeat(500_000);
    std::fs::write(dir.path().join("site/large.txt"), &text).unwrap();
    let answer = say(&front, "GET", "/large.txt", "").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.body == text, "{} bytes", answer.body.len());
}
