//! What is never packed: credentials, and what has no business in a gateway.

/// Why an entry is left out, `None` when it is packed. Only names count here, so the
/// rule can be told to a person in three words. Case does not matter.
pub(super) fn why_left_out(
    name: &str,
    parent: Option<&str>,
    is_folder: bool,
) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if is_folder {
        folder(&name, parent)
    } else {
        file(&name)
    }
}

fn folder(name: &str, parent: Option<&str>) -> Option<&'static str> {
    match name {
        ".git" | ".hg" | ".svn" => Some("version control"),
        ".ssh" | ".gnupg" | ".aws" | ".azure" | ".gcloud" | ".kube" | ".docker" => {
            Some("credentials")
        }
        ".cache" if parent.is_some_and(|parent| parent == "node_modules") => Some("cache"),
        _ if name.starts_with(".env") => Some("environment file"),
        _ => None,
    }
}

fn file(name: &str) -> Option<&'static str> {
    const KEY_ENDINGS: [&str; 12] = [
        ".pem",
        ".key",
        ".crt",
        ".p8",
        ".p12",
        ".pfx",
        ".pkcs12",
        ".jks",
        ".keystore",
        ".ppk",
        ".kdbx",
        ".ovpn",
    ];
    const KEY_NAMES: [&str; 6] = [
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_ecdsa_sk",
        "id_ed25519_sk",
    ];
    const CREDENTIALS: [&str; 9] = [
        ".npmrc",
        ".yarnrc.yml",
        ".netrc",
        ".pgpass",
        ".pypirc",
        ".htpasswd",
        ".dockercfg",
        ".git-credentials",
        ".my.cnf",
    ];
    if name.starts_with(".env") {
        Some("environment file")
    } else if name == ".git" {
        Some("version control")
    } else if KEY_NAMES.contains(&name) || KEY_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        Some("key or certificate")
    } else if CREDENTIALS.contains(&name) || holds_credentials(name) {
        Some("credentials")
    } else {
        None
    }
}

/// `credentials*` and `service-account*.json`, but not code that deals with them.
fn holds_credentials(name: &str) -> bool {
    const CODE: [&str; 10] = [
        ".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".map", ".sh",
    ];
    let code = CODE.iter().any(|ending| name.ends_with(ending));
    let account = name.starts_with("service-account") || name.starts_with("service_account");
    let json = name
        .rsplit_once('.')
        .is_some_and(|(_, ending)| ending == "json");
    (name.starts_with("credentials") && !code) || (account && json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        let is_folder = path.ends_with('/');
        let mut parts = path.trim_end_matches('/').rsplit('/');
        let name = parts.next().unwrap();
        assert_eq!(
            why_left_out(name, parts.next(), is_folder),
            expected,
            "{path}"
        );
    }

    #[test]
    fn credentials_are_never_packed() {
        for path in [".env", ".env.local", ".envrc", ".ENV", ".env/"] {
            check(path, Some("environment file"));
        }
        for path in [
            "server.pem",
            "a.KEY",
            "ca.crt",
            "x.p12",
            "x.pfx",
            "x.jks",
            "my.keystore",
        ] {
            check(path, Some("key or certificate"));
        }
        for path in ["id_rsa", "id_ed25519", "id_ecdsa"] {
            check(path, Some("key or certificate"));
        }
        for path in [
            ".npmrc",
            ".netrc",
            ".pgpass",
            "credentials",
            "credentials.json",
            ".ssh/",
        ] {
            check(path, Some("credentials"));
        }
        check("credentials-prod.yaml", Some("credentials"));
        check("service-account.json", Some("credentials"));
        check("service-account-prod.json", Some("credentials"));
        check(".git/", Some("version control"));
        check(".git", Some("version control"));
        check("node_modules/.cache/", Some("cache"));
    }

    #[test]
    fn code_and_settings_are_packed() {
        for path in [
            "main.js",
            "main.js.map",
            "config.conf",
            "environment.js",
            "env",
            "keys.js",
            "public-key.ts",
            "credentials.js",
            "credentials.ts",
            "service-account.ts",
            "id_rsa.js",
            ".cache/",
            "node_modules/",
            "src/",
            "environment/",
            ".gitignore",
            "BUILD_INFO.txt",
        ] {
            check(path, None);
        }
    }
}
