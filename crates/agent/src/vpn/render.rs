//! What is told to openvpn and to its clients; pure.

use std::path::Path;

use lockgate_model::ports;
use serde::Serialize;

use super::TUN;
use super::pki::{Pki, SERVER};

/// Netmask of the VPN's network.
const NETMASK: &str = "255.255.0.0";

/// Where openvpn tells of its clients.
pub(super) const MANAGEMENT: (std::net::Ipv4Addr, u16) = (std::net::Ipv4Addr::LOCALHOST, 5555);

/// What a configuration depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    /// The UDP port.
    pub(super) port: u16,
    /// The folder of keys and certificates.
    pub(super) dir: &'a Path,
    /// The folder of addresses, which openvpn's user can write.
    pub(super) addresses: &'a Path,
    /// The agent's own program, where openvpn's user can start it.
    pub(super) agent: &'a Path,
    /// Whether openvpn becomes `nobody`.
    pub(super) as_nobody: bool,
}

/// The server's configuration. `auth` is left at its default, which clients of the shell
/// system sign by.
pub(super) fn server(server: &Server<'_>) -> String {
    let Server { port, dir, .. } = *server;
    let file = |name: &str| word(&dir.join(name));
    let (addresses, hook) = (word(server.addresses), hook(server));
    let user = if server.as_nobody {
        "user nobody\ngroup nogroup\n"
    } else {
        ""
    };
    let network = ports::VPN_NETWORK;
    let (at, management) = MANAGEMENT;
    format!(
        "# Written by lockgate-agent; changes are lost.\n\
         dev {TUN}\ndev-type tun\nproto udp\nport {port}\n\
         topology subnet\nserver {network} {NETMASK}\n\
         ignore-unknown-option disable-dco\ndisable-dco\n\
         ca {ca}\ncert {cert}\nkey {key}\ndh none\n\
         tls-version-min 1.2\ntls-groups X25519:prime256v1\n\
         data-ciphers AES-256-GCM:CHACHA20-POLY1305\n\
         tls-auth {ta} 0\nremote-cert-tls client\n\
         duplicate-cn\n\
         # A client learns within 20 seconds that the server is gone without a word.\n\
         keepalive 5 20\nexplicit-exit-notify 1\n\
         persist-key\npersist-tun\n{user}\
         script-security 2\ntmp-dir {addresses}\n\
         client-connect {connect}\nclient-disconnect {disconnect}\n\
         management {at} {management}\n\
         verb 2\nmute 10\nsuppress-timestamps\n",
        ca = file("ca.crt"),
        cert = file("server.crt"),
        key = file("server.key"),
        ta = file("ta.key"),
        connect = hook("connect"),
        disconnect = hook("disconnect"),
    )
}

/// The command that chooses addresses, as one word.
fn hook<'a>(server: &Server<'a>) -> impl Fn(&str) -> String + 'a {
    let (agent, addresses) = (server.agent, server.addresses);
    // A command's own words are quoted within it.
    let inner = |path: &Path| format!("'{}'", path.display());
    move |what| {
        format!(
            "\"{} {} {} {what}\"",
            inner(agent),
            super::addresses::NAME,
            inner(addresses)
        )
    }
}

/// A path as one word of openvpn's configuration.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

/// A client's whole profile, keys included.
pub(super) fn client(pki: &Pki, host: &str, port: u16) -> String {
    let Pki {
        ca_crt,
        clients_crt,
        clients_key,
        ta_key,
        ..
    } = pki;
    format!(
        "client\ndev tun\nproto udp\nremote {host} {port}\nnobind\n\
         resolv-retry infinite\nconnect-retry 1 5\n\
         tls-version-min 1.2\ndata-ciphers AES-256-GCM:CHACHA20-POLY1305\n\
         remote-cert-tls server\nverify-x509-name {SERVER} name\n\
         # So that it gets the same address again.\n\
         push-peer-info\nexplicit-exit-notify 1\n\
         persist-key\npersist-tun\nverb 3\n\
         key-direction 1\n\
         <ca>\n{ca_crt}</ca>\n<cert>\n{clients_crt}</cert>\n<key>\n{clients_key}</key>\n\
         <tls-auth>\n{ta_key}</tls-auth>\n"
    )
}

/// `/tmp/vpn-config.json`, as the shell system's scripts left it for the application.
#[derive(Debug, Serialize)]
struct Config<'a> {
    organization_id: &'a str,
    status: &'static str,
    pid: i32,
    temp_dir: String,
    port: u16,
    hostname: &'a str,
    certificates: Certificates<'a>,
}

#[derive(Debug, Serialize)]
struct Certificates<'a> {
    #[serde(rename = "clients.crt")]
    clients_crt: &'a str,
    #[serde(rename = "clients.key")]
    clients_key: &'a str,
    #[serde(rename = "ca.crt")]
    ca_crt: &'a str,
    #[serde(rename = "ta.key")]
    ta_key: &'a str,
}

/// Who serves, for the application.
#[derive(Debug, Clone, Copy)]
pub(super) struct Serving<'a> {
    /// The organization.
    pub(super) organization: &'a str,
    /// The process.
    pub(super) pid: i32,
    /// The folder of its files.
    pub(super) dir: &'a Path,
    /// Its UDP port.
    pub(super) port: u16,
    /// The gateway's own name.
    pub(super) hostname: &'a str,
}

/// What the application reads. Keys and certificates are PEM as it is, without the last line's
/// end: the application hands them on, and a user container writes them into files word for word.
pub(super) fn config(pki: &Pki, serving: &Serving<'_>) -> serde_json::Result<String> {
    serde_json::to_string(&Config {
        organization_id: serving.organization,
        status: "ok",
        pid: serving.pid,
        temp_dir: serving.dir.display().to_string(),
        port: serving.port,
        hostname: serving.hostname,
        certificates: Certificates {
            clients_crt: pki.clients_crt.trim_end(),
            clients_key: pki.clients_key.trim_end(),
            ca_crt: pki.ca_crt.trim_end(),
            ta_key: pki.ta_key.trim_end(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pki() -> Pki {
        Pki {
            ca_crt: "CA\n".to_owned(),
            server_crt: "SERVER\n".to_owned(),
            server_key: "SECRET\n".to_owned(),
            clients_crt: "CLIENTS\n".to_owned(),
            clients_key: "KEY\n".to_owned(),
            ta_key: "TA\n".to_owned(),
            ends_at: 0,
        }
    }

    #[test]
    fn the_server_is_told_all_that_matters() {
        let text = server(&Server {
            port: 49_101,
            dir: Path::new("/opt/lock gate/vpn"),
            addresses: Path::new("/opt/lock gate/vpn/addresses"),
            agent: Path::new("/usr/local/bin/lockgate-agent"),
            as_nobody: true,
        });
        for line in [
            "port 49101",
            "server 172.16.0.0 255.255.0.0",
            "topology subnet",
            "dh none",
            "tls-version-min 1.2",
            "key \"/opt/lock gate/vpn/server.key\"",
            "tls-auth \"/opt/lock gate/vpn/ta.key\" 0",
            "data-ciphers AES-256-GCM:CHACHA20-POLY1305",
            "management 127.0.0.1 5555",
            "user nobody",
            "client-connect \"'/usr/local/bin/lockgate-agent' vpn-address '/opt/lock gate/vpn/addresses' connect\"",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        // It would carry packets between clients past every rule.
        assert!(!text.contains("client-to-client"));
    }

    #[test]
    fn a_profile_is_whole_and_holds_nothing_of_the_server_s() {
        let text = client(&pki(), "gw.example", 49_100);
        assert!(text.contains("remote gw.example 49100\n"));
        assert!(text.contains("<key>\nKEY\n</key>\n<tls-auth>\nTA\n</tls-auth>\n"));
        assert!(!text.contains("SECRET"));
    }

    #[test]
    fn the_application_finds_the_fields_it_knows() {
        let serving = Serving {
            organization: "0d1b",
            pid: 42,
            dir: Path::new("/opt/lockgate/vpn"),
            port: 49_100,
            hostname: "gw-pool-dev-001-0",
        };
        assert_eq!(
            config(&pki(), &serving).unwrap(),
            "{\"organization_id\":\"0d1b\",\"status\":\"ok\",\"pid\":42,\
             \"temp_dir\":\"/opt/lockgate/vpn\",\"port\":49100,\
             \"hostname\":\"gw-pool-dev-001-0\",\"certificates\":{\
             \"clients.crt\":\"CLIENTS\",\"clients.key\":\"KEY\",\
             \"ca.crt\":\"CA\",\"ta.key\":\"TA\"}}"
        );
    }
}
