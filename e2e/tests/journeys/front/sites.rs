//! Sites beside organizations, and two environments on one domain.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use lockgate_e2e::{FrontDoor, World};

use super::{ONE, TWO, assign, configure, create, until_answered, variable, workspace};

/// A server that answers every request with this text; it ends with the test.
fn server(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            // A head of a few lines comes at once; what comes is not looked at.
            let _ = stream.read(&mut head);
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn environments_on_one_domain_share_it_and_the_first_has_the_sites() {
    let world = World::new();
    let workspace = workspace(&world);
    let (first, second) = (server("ganymede of the first"), server("of the second"));
    fs::create_dir(workspace.path.join("site")).unwrap();
    fs::write(workspace.path.join("site/index.html"), "<p>the site</p>").unwrap();
    let front = format!(
        "[front]\napex = 'site'\nganymede = 'http://127.0.0.1:{first}'\n\
         [env.dev-002.front]\napex = ''\nganymede = 'http://127.0.0.1:{second}'\n"
    );
    configure(&workspace, &front);
    world.serve();
    for env in ["dev-001", "dev-002"] {
        create(&world, env, "shared.localhost", &workspace, 1);
        world.deploy(env).expect(0);
    }
    let door = FrontDoor::of(&world);
    let urls = world.lockgate(&["urls", "dev-001"]);
    urls.says(&format!(
        "https://ganymede.shared.localhost:{}/",
        door.https
    ));
    let other = world.lockgate(&["urls", "dev-002"]);
    other.says("`ganymede.shared.localhost` stay with dev-001");
    assert!(!other.stdout.contains("ganymede"), "{other:?}");
    let below = |name: &str| format!("{name}.shared.localhost");
    let organization = |id: &str| below(&format!("org-{id}"));

    for (env, id) in [("dev-001", ONE), ("dev-002", TWO)] {
        assign(&world, env, id);
        let answer = door.get(&organization(id), "/");
        let served = variable(&answer.json(), "ENV_NAME");
        assert_eq!(served.as_deref(), Some(env), "{answer:?}");
    }
    let site = door.get("shared.localhost", "/");
    assert_eq!((site.status, site.body.as_str()), (200, "<p>the site</p>"));
    let missing = door.get("shared.localhost", "/none.html");
    assert_eq!(missing.status, 404, "{missing:?}");
    let api = door.get(&below("ganymede"), "/");
    assert_eq!(
        (api.status, api.body.as_str()),
        (200, "ganymede of the first")
    );

    // The next deploy brings what lockgate.toml says then.
    let upstream = format!("[front]\napex = 'http://localhost:{first}'\n");
    configure(&workspace, &upstream);
    let said = world.deploy("dev-001");
    said.expect(0).says("the front door of dev-001 changed");
    until_answered(&door, "shared.localhost", "is a server now", |it| {
        it.body == "ganymede of the first"
    });
    let none = door.get(&below("ganymede"), "/");
    assert_eq!(none.status, 404, "{none:?}");

    configure(&workspace, "[front]\napex = 'ftp://127.0.0.1'\n");
    world
        .deploy("dev-001")
        .expect(78)
        .says("`[front] apex`: `ftp://127.0.0.1` is neither");
    configure(&workspace, "[front]\ncertificat = 'x'\n");
    world
        .deploy("dev-001")
        .expect(78)
        .says("did you mean `certificate`?");
}
