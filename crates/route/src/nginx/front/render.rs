//! The configuration of a front door, as texts. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lockgate_model::{
    EnvName, FrontEnvironment, FrontTable, GANYMEDE, GatewayName, ORGANIZATION_PREFIX, Site,
    Standing, Target,
};

use super::place::{FrontPlace, NO_ANSWER, NO_SITE, NOBODY, PAGES, SERVED, STOPPED, UNSERVED};
use crate::nginx::headers::{OF_ONE_CONNECTION, OF_THE_REQUEST, ORIGIN};
use crate::nginx::place::is_speakable;
use crate::nginx::render::{MAPS, PASSING, put};
use crate::proxy::page::RETRY_AFTER_SECS;

/// No host's name is longer.
const LONGEST_NAME: usize = 253;

/// The front door's own words on where a request came from.
const OF_THE_CLIENT: [(&str, &str); 5] = [
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Forwarded-Host", "$lockgate_host"),
    ("X-Forwarded-Port", "$lockgate_port"),
];

/// What does not change as long as a front door is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontListen {
    /// Where it speaks TLS.
    pub https: Vec<SocketAddr>,
    /// Where it sends clients there.
    pub http: Vec<SocketAddr>,
    /// The port at which clients reach the first.
    pub https_port: u16,
    /// Whether workers stay root, where there is no other user that they could be.
    pub workers_as_root: bool,
}

/// A certificate, as nginx reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The names it is shown for: `dev.localhost`, or `*.dev.localhost`.
    pub names: Vec<String>,
    /// The chain, in PEM.
    pub chain: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
}

/// What all texts are made of.
pub(super) struct Front<'a> {
    pub(super) listen: &'a FrontListen,
    pub(super) place: &'a FrontPlace,
    pub(super) table: &'a FrontTable,
    pub(super) certificates: &'a [CertificateFiles],
}

/// What nginx reads of an environment. It names this one's certificates and no other's, so
/// that it counts or is refused by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// The names that are served.
    pub(super) served: String,
    /// The names below its domain that are nobody's.
    pub(super) unserved: String,
    /// When the second is read among those of all domains: longer ones come first, since
    /// nginx takes the first pattern that fits.
    pub(super) order: usize,
}

impl Front<'_> {
    /// A text for each environment.
    pub(super) fn environments(&self) -> BTreeMap<EnvName, Text> {
        let all = self.table.environments().iter();
        let text = |environment: &FrontEnvironment| Text {
            served: self.environment(environment),
            unserved: self.unknown_names(environment),
            order: LONGEST_NAME.saturating_sub(environment.domain.as_str().len()),
        };
        all.map(|environment| (environment.name.clone(), text(environment)))
            .collect()
    }

    /// The text around the environments, whose files lie below `folder`.
    pub(super) fn main(&self, folder: &Path) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.strangers(&mut text);
        for part in [SERVED, UNSERVED] {
            let part = folder.join(part);
            put!(&mut text, "    include \"{}/*.conf\";", part.display());
        }
        text.push_str("}\n");
        text
    }

    fn head(&self, text: &mut String) {
        let user = if self.listen.workers_as_root {
            "user root root;\n"
        } else {
            ""
        };
        put!(
            text,
            "# Written by lockgate, and written anew when routes change.
{user}daemon off;
pid \"{pid}\";
error_log stderr warn;
worker_processes auto;
# Old workers go on with what they serve after a reload, WebSockets too.
worker_shutdown_timeout 1h;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    server_tokens off;
    server_names_hash_max_size 8192;
    server_names_hash_bucket_size 512;
    client_body_temp_path \"{temp}/body\";
    proxy_temp_path \"{temp}/proxy\";
    fastcgi_temp_path \"{temp}/fastcgi\";
    uwsgi_temp_path \"{temp}/uwsgi\";
    scgi_temp_path \"{temp}/scgi\";
    types {{
        text/html html htm;
        text/css css;
        text/javascript js mjs;
        text/plain txt;
        application/json json map;
        application/wasm wasm;
        image/svg+xml svg;
        image/png png;
        image/jpeg jpg jpeg;
        image/webp webp;
        image/x-icon ico;
        font/woff2 woff2;
    }}
    charset utf-8;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:lockgate:4m;
    http2_max_concurrent_streams 128;
    root \"{root}\";
    map $http_accept $lockgate_page {{
        default json;
        ~*text/html html;
    }}
{MAPS}
    map \"$lockgate_host|$scheme\" $lockgate_port {{
        default 443;
        \"~:(?<named_port>[0-9]+)[|]\" $named_port;
        \"~[|]http$\" 80;
    }}

{PASSING}",
            pid = self.place.pid_file().display(),
            temp = self.place.temp().display(),
            root = self.place.dir().display(),
        );
        for (name, value) in OF_THE_REQUEST.into_iter().chain(OF_THE_CLIENT) {
            put!(text, "    proxy_set_header {name} {value};");
        }
        let others = ORIGIN.iter().filter(|name| **name != "X-Forwarded-Port");
        for name in OF_ONE_CONNECTION.iter().chain(others) {
            put!(text, "    proxy_set_header {name} \"\";");
        }
    }

    /// Whoever names nobody: no certificate, and no page but that.
    fn strangers(&self, text: &mut String) {
        if !self.listen.https.is_empty() {
            put!(text, "    server {{");
            for addr in &self.listen.https {
                put!(
                    text,
                    "        listen {addr} default_server ssl http2 backlog=4096 so_keepalive=1m:15s:4;"
                );
            }
            put!(text, "        ssl_reject_handshake on;\n    }}");
        }
        if !self.listen.http.is_empty() {
            put!(text, "    server {{");
            for addr in &self.listen.http {
                put!(text, "        listen {addr} default_server backlog=4096;");
            }
            put!(text, "        server_name _;");
            not_found(text, NOBODY);
        }
    }

    /// Names below an environment's domain that are nobody's; nothing where another one has
    /// said it.
    fn unknown_names(&self, environment: &FrontEnvironment) -> String {
        let domain = &environment.domain;
        let mut text = String::new();
        let is_first = self.table.first_on(domain).map(|it| &it.name) == Some(&environment.name);
        let certificate = self.certificate(&format!("any.{domain}"));
        let Some(certificate) = certificate.filter(|_| is_first) else {
            return text;
        };
        put!(&mut text, "    server {{");
        self.secured(&mut text, certificate);
        put!(
            &mut text,
            "        server_name \"~^(.+[.])?{}$\";",
            literal(domain.as_str())
        );
        not_found(&mut text, NOBODY);
        text
    }

    fn environment(&self, environment: &FrontEnvironment) -> String {
        let mut text = String::new();
        let domain = &environment.domain;
        put!(&mut text, "# Environment {}, {domain}.", environment.name);
        let mut names = Vec::new();
        for site in [domain.to_string(), format!("{GANYMEDE}.{domain}")] {
            let is_first = self.table.first_on(domain).map(|it| &it.name);
            if is_first != Some(&environment.name) {
                continue;
            }
            if let Target::Site(found) = self.table.lookup(&site) {
                self.site(&mut text, &site, found);
                names.push(site);
            }
        }
        for (organization, gateway) in &environment.organizations {
            // Where two environments serve one organization, the first does.
            let first = self
                .table
                .environments()
                .iter()
                .find(|it| it.domain == *domain && it.organizations.contains_key(organization));
            if first.map(|it| &it.name) != Some(&environment.name) {
                continue;
            }
            let host = format!("{ORGANIZATION_PREFIX}{organization}.{domain}");
            let containers = format!(
                "\"~^uc-[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(--[a-z0-9_-]+)?[.]{}$\"",
                literal(&host)
            );
            self.organization(&mut text, &host, &host, gateway);
            let any = format!("any.{host}");
            self.organization(&mut text, &any, &containers, gateway);
            names.extend([host, containers]);
        }
        self.redirecting(&mut text, &names);
        text
    }

    /// A server for an organization's own name or for its containers; `one` is any of
    /// these names.
    fn organization(&self, text: &mut String, one: &str, names: &str, gateway: &GatewayName) {
        let Some(certificate) = self.certificate(one) else {
            return;
        };
        put!(text, "    server {{");
        self.secured(text, certificate);
        put!(text, "        server_name {names};");
        let known = self.table.gateways().get(gateway);
        match known.map(|known| &known.standing) {
            Some(Standing::At { address, .. }) => {
                passed(text, *address, &format!("{gateway}.{NO_ANSWER}"));
            }
            Some(Standing::Starting | Standing::Stopped(_)) | None => put!(
                text,
                "        error_page 503 /{PAGES}/{gateway}.{STOPPED}.$lockgate_page;
        location / {{
            return 503;
        }}"
            ),
        }
        pages(text, true);
    }

    fn site(&self, text: &mut String, name: &str, site: &Site) {
        let Some(certificate) = self.certificate(name) else {
            return;
        };
        put!(text, "    server {{");
        self.secured(text, certificate);
        put!(text, "        server_name {name};");
        match site {
            Site::Upstream(address) => passed(text, *address, NO_SITE),
            Site::Folder(folder) if !is_speakable(folder) => put!(
                text,
                "        # Its folder has a name that cannot stand here.
        error_page 404 /{PAGES}/{NOBODY}.$lockgate_page;
        location / {{
            return 404;
        }}"
            ),
            Site::Folder(folder) => put!(
                text,
                "        error_page 403 404 =404 /{PAGES}/{NOBODY}.$lockgate_page;
        location ~ /[.](?!well-known/) {{
            return 404;
        }}
        location / {{
            root \"{folder}\";
            index index.html;
            # No link is followed: it might lead out.
            disable_symlinks on from=\"{folder}\";
            add_header Cache-Control no-cache;
            add_header X-Content-Type-Options nosniff;
        }}",
                folder = folder.display()
            ),
        }
        pages(text, true);
    }

    fn redirecting(&self, text: &mut String, names: &[String]) {
        if names.is_empty() || self.listen.http.is_empty() {
            return;
        }
        put!(text, "    server {{");
        for addr in &self.listen.http {
            put!(text, "        listen {addr};");
        }
        put!(text, "        server_name");
        for name in names {
            put!(text, "            {name}");
        }
        let port = match self.listen.https_port {
            443 => String::new(),
            other => format!(":{other}"),
        };
        put!(
            text,
            "        ;\n        return 308 https://$host{port}$request_uri;\n    }}"
        );
    }

    fn secured(&self, text: &mut String, certificate: &CertificateFiles) {
        for addr in &self.listen.https {
            put!(text, "        listen {addr} ssl http2;");
        }
        put!(
            text,
            "        ssl_certificate \"{}\";\n        ssl_certificate_key \"{}\";",
            certificate.chain.display(),
            certificate.key.display()
        );
    }

    /// The certificate for a name: one for exactly this, else one for its level. The last
    /// of two counts.
    fn certificate(&self, name: &str) -> Option<&CertificateFiles> {
        let level = name.split_once('.').map(|(_, level)| format!("*.{level}"));
        let named = |wanted: &str| {
            let mut all = self.certificates.iter().rev();
            all.find(|it| {
                let speakable = is_speakable(&it.chain) && is_speakable(&it.key);
                speakable && it.names.iter().any(|name| name == wanted)
            })
        };
        named(name).or_else(|| named(&level?))
    }
}

fn passed(text: &mut String, address: SocketAddr, page: &str) {
    put!(
        text,
        "        error_page 502 504 =502 /{PAGES}/{page}.$lockgate_page;
        location / {{
            proxy_pass http://{address};
        }}"
    );
}

/// A server that only says so, to its end.
fn not_found(text: &mut String, page: &str) {
    put!(
        text,
        "        error_page 404 /{PAGES}/{page}.$lockgate_page;
        location / {{
            return 404;
        }}"
    );
    pages(text, false);
}

/// The door's own answers, and the end of a server.
fn pages(text: &mut String, again: bool) {
    let mut headers = String::new();
    if again {
        let _ = write!(
            headers,
            "\n            add_header Retry-After {RETRY_AFTER_SECS} always;"
        );
    }
    put!(
        text,
        "        location ^~ /{PAGES}/ {{
            internal;{headers}
            add_header Cache-Control no-store always;
            etag off;
            max_ranges 0;
        }}
    }}"
    );
}

/// A name in a pattern.
fn literal(name: &str) -> String {
    name.replace('.', "[.]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(site: &str, chain: &str) -> String {
        let environment = FrontEnvironment {
            name: EnvName::parse("dev").unwrap(),
            created_ms: 1,
            domain: "dev.test".to_owned().try_into().unwrap(),
            apex: Some(Site::parse(site).unwrap()),
            ganymede: None,
            organizations: BTreeMap::new(),
        };
        let front = Front {
            listen: &FrontListen {
                https: vec!["127.0.0.1:8443".parse().unwrap()],
                http: Vec::new(),
                https_port: 443,
                workers_as_root: false,
            },
            place: &FrontPlace::new(Path::new("/srv/front")).unwrap(),
            table: &FrontTable::new([environment], []),
            certificates: &[CertificateFiles {
                names: vec!["dev.test".to_owned()],
                chain: chain.into(),
                key: "/srv/key".into(),
            }],
        };
        let all = front.environments().into_values();
        all.map(|it| it.served + &it.unserved).collect()
    }

    #[test]
    fn a_path_cannot_bring_its_own_configuration() {
        let plain = rendered("/srv/site", "/srv/chain");
        assert!(plain.contains("root \"/srv/site\";"), "{plain}");
        for path in ["/srv/\"; return 200 x; #", "/srv/$host", "/srv/\n}"] {
            let text = rendered(path, "/srv/chain");
            assert!(!text.contains(path), "{text}");
            assert!(text.contains("return 404;"), "{text}");
            let text = rendered("/srv/site", path);
            assert!(!text.contains(path) && !text.contains("listen"), "{text}");
        }
    }
}
