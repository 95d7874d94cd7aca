//! Certificates of one's own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lockgate_e2e::{World, until};

use super::{ONE, assign, configure, create, host, running, until_answered, workspace};

/// Makes a certificate that nobody else has signed, in the older form of keys that many tools write.
pub(super) fn certificate(folder: &Path, names: &str) {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(folder)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    openssl(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
        "own.key",
    ]);
    let names = format!("subjectAltName={names}");
    openssl(&[
        "req", "-x509", "-key", "own.key", "-out", "own.pem", "-days", "30", "-subj", "/CN=own",
        "-addext", &names,
    ]);
}

#[test]
fn a_certificate_of_ones_own_is_what_clients_are_shown() {
    let world = World::new();
    let workspace = workspace(&world);
    let door = running(&world, &workspace, 1);
    create(&world, "dev-002", "dev-002.localhost", &workspace, 1);
    assign(&world, "dev-001", ONE);
    let own = door.trusting(&workspace.path.join("own.pem"));
    assert_eq!(own.get(&host(ONE), "/").status, 0);

    certificate(&workspace.path, "DNS:*.dev-001.localhost");
    configure(
        &workspace,
        "[env.dev-001.front]\ncertificate = 'own.pem'\nkey = 'own.key'\n",
    );
    world.deploy("dev-001").expect(0);
    until_answered(&own, &host(ONE), "has its own certificate", |it| {
        it.status == 200
    });
    let shown = door.get(&host(ONE), "/");
    assert_eq!(shown.status, 0, "{shown:?}");
    assert!(shown.error.contains("certificate"), "{shown:?}");
    // What it is not for is signed by the home: the domain itself, and names of containers.
    assert_eq!(door.get("dev-001.localhost", "/").status, 404);
    let container = format!("uc-{ONE}.{}", host(ONE));
    assert_ne!(door.get(&container, "/").status, 0);

    // One that cannot be used is told, and takes nobody down.
    configure(
        &workspace,
        "[env.dev-001.front]\ncertificate = 'none.pem'\nkey = 'own.key'\n",
    );
    world.deploy("dev-001").expect(0);
    let problem = "the certificate of `dev-001` cannot be used: `";
    until("the problem is told", Duration::from_secs(20), || {
        let status = world.lockgate(&["serve", "status"]);
        status.stderr.contains(problem).then_some(())
    });
    world.lockgate(&["urls", "dev-001"]).says(problem);
    assert_eq!(door.get("dev-002.localhost", "/").status, 404);
    assert_eq!(door.get(&host(ONE), "/").status, 200);
}
