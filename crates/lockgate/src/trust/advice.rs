//! What no program of ours can do: a line for each place that keeps certificates of its own.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

/// For whom, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Advice {
    /// Who has certificates of its own.
    pub(crate) who: &'static str,
    /// The line that helps.
    pub(crate) line: String,
}

/// The lines for an authority in this file.
pub(crate) fn advice(file: &Path) -> Vec<Advice> {
    let file = file.display();
    let all = [
        ("node", format!("export NODE_EXTRA_CA_CERTS={file}")),
        (
            "python",
            format!("export SSL_CERT_FILE={file} REQUESTS_CA_BUNDLE={file}"),
        ),
        (
            "java",
            format!(
                "keytool -importcert -noprompt -cacerts -storepass changeit -alias lockgate -file {file}"
            ),
        ),
        (
            "containers",
            format!(
                "docker run -v {file}:/usr/local/share/ca-certificates/lockgate.crt:ro … update-ca-certificates"
            ),
        ),
        (
            "windows",
            format!("certutil.exe -user -addstore Root \"$(wslpath -w {file})\""),
        ),
        (
            "macos",
            format!(
                "security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db {file}"
            ),
        ),
    ];
    all.map(|(who, line)| Advice { who, line }).into()
}
