//! The whole configuration, as a text. Pure: whoever renders the same door and table
//! twice gets the same text.

use std::fmt::Write as _;
use std::net::SocketAddr;

use lockgate_model::{CONTAINER_PREFIX, OWN_NAMES, Route, ports, protocol};

use super::headers::headers;
use super::place::{
    DOOR, NO_ANSWER, NO_CONTAINER, NO_ROUTE, NOW, PAGES, Place, STOPPED, UNAVAILABLE,
};
use crate::proxy::ForwardedHeaders;
use crate::proxy::page::RETRY_AFTER_SECS;
use crate::seam::Table;

/// Writes to a text never fail.
macro_rules! put {
    ($text:expr, $($format:tt)*) => {{
        let _ = writeln!($text, $($format)*);
    }};
}
pub(super) use put;

/// What does not change as long as a door is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NginxDoor {
    /// Where it listens.
    pub listen: Vec<NginxListen>,
    /// Whether workers stay root, where there is no other user that they could be.
    pub workers_as_root: bool,
}

/// An address of a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NginxListen {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What happens to `X-Forwarded-*` headers that a client sends there.
    pub forwarded: ForwardedHeaders,
}

/// Addresses of a door by which requests are passed on in the same way.
struct Group {
    listen: Vec<SocketAddr>,
    /// The headers to set; empty where those of the whole door are inherited.
    headers: String,
}

/// The configuration of a door that serves this table.
pub fn render(door: &NginxDoor, place: &Place, table: &Table) -> String {
    let mut text = String::new();
    let (shared, groups) = groups(door);
    head(&mut text, door, place);
    put!(text, "{MAPS}\n\n{PASSING}{shared}");
    for_the_door(&mut text);
    upstream(&mut text, table);
    for group in &groups {
        application(&mut text, group, place);
    }
    no_route(&mut text, door);
    for route in table.routes.iter() {
        for group in &groups {
            container(&mut text, group, route);
        }
    }
    text.push_str("}\n");
    text
}

/// The headers of the whole door, and its addresses. A header that a server sets makes it
/// inherit none: where addresses differ, each server has all of them, and the door none.
fn groups(door: &NginxDoor) -> (String, Vec<Group>) {
    let mut rules: Vec<(ForwardedHeaders, Vec<SocketAddr>)> = Vec::new();
    for &NginxListen { addr, forwarded } in &door.listen {
        match rules.iter_mut().find(|(rule, _)| *rule == forwarded) {
            Some((_, listen)) => listen.push(addr),
            None => rules.push((forwarded, vec![addr])),
        }
    }
    let shared = match rules.as_slice() {
        [(rule, _)] => headers(*rule, "    "),
        _ => String::new(),
    };
    let own = |rule| {
        if shared.is_empty() {
            headers(rule, "        ")
        } else {
            String::new()
        }
    };
    let groups = rules.into_iter().map(|(rule, listen)| Group {
        listen,
        headers: own(rule),
    });
    let groups = groups.collect();
    (shared, groups)
}

fn head(text: &mut String, door: &NginxDoor, place: &Place) {
    let user = if door.workers_as_root {
        "user root root;\n"
    } else {
        ""
    };
    put!(
        text,
        "# Written by lockgate-agent, and written anew when routes change.
{user}daemon off;
pid \"{pid}\";
error_log stderr warn;
worker_processes 1;
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
        text/html html;
        application/json json;
    }}
    charset utf-8;
    # Its target is the folder of the build that answers now, and names it.
    root \"{now}\";
    map $realpath_root $lockgate_build {{
        default \"\";
        \"~/(?<build_id>[0-9a-f]+)$\" $build_id;
    }}
    map $http_accept $lockgate_page {{
        default json;
        ~*text/html html;
    }}
",
        pid = place.pid_file().display(),
        temp = place.named("temp"),
        now = place.named(NOW),
    );
}

/// What requests say, as it is passed on.
pub(super) const MAPS: &str = r#"    # A host in the request line counts more than the header. HTTP/1.1 requires one,
    # also when an old client named none.
    map $request $lockgate_in_line {
        default "";
        "~^[^ ]+ [hH][tT][tT][pP]://(?<line_host>[^/?# ]+)" $line_host;
    }
    map $lockgate_in_line $lockgate_host {
        default $lockgate_in_line;
        "" $lockgate_header;
    }
    map $http_host $lockgate_header {
        default $http_host;
        "" $host;
    }
    map $http_x_real_ip $lockgate_first {
        default $http_x_real_ip;
        "" $remote_addr;
    }
    map $http_x_forwarded_proto $lockgate_proto {
        default $http_x_forwarded_proto;
        "" http;
    }
    map $http_x_forwarded_host $lockgate_named {
        default $http_x_forwarded_host;
        "" $lockgate_host;
    }
    # An upgrade is one only when `Connection` says so, and never to HTTP/2: its requests
    # would pass the routes by.
    map "$http_connection|$http_upgrade" $lockgate_upgrade {
        default "";
        "~*^[^|]*\bupgrade\b[^|]*\|(?!.*\bh2c\b)(?<protocol>.+)$" $protocol;
    }
    map $lockgate_upgrade $lockgate_connection {
        default upgrade;
        "" close;
    }"#;

/// How bodies and heads go through.
pub(super) const PASSING: &str = "    # Nothing is kept: bodies of any size go through as they come.
    client_max_body_size 0;
    client_body_buffer_size 64k;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;
    proxy_busy_buffers_size 64k;
    large_client_header_buffers 4 32k;
    underscores_in_headers on;
    # A request may wait: for a process that is being exchanged, or for its next event.
    proxy_connect_timeout 75s;
    proxy_read_timeout 1d;
    proxy_send_timeout 1d;
    client_body_timeout 1h;
    client_header_timeout 30s;
    keepalive_timeout 30s;
    keepalive_requests 1000000;
    send_timeout 60s;
    # No connection to an upstream is used twice: none can be closed by a process that
    # is about to end while the next request is on its way.
    proxy_http_version 1.1;
    proxy_next_upstream error;
    proxy_next_upstream_tries 2;
    proxy_redirect off;
    proxy_pass_header Server;
    proxy_pass_header Date;
    proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;";

/// Whether a request is for the door itself, as `DoorCard::is_asked_for` says.
fn for_the_door(text: &mut String) {
    let names = OWN_NAMES.map(|name| name.replace('.', "\\."));
    put!(
        text,
        "
    # The door says who it is to whoever asks by an address, and to nobody else.
    map \"$request_method $lockgate_host $request_uri\" $lockgate_for_door {{
        default \"\";
        \"~^(GET|HEAD) (?i:{ADDRESS}|{names})(:[0-9]+)? {path}(\\?|$)\" yes;
    }}",
        names = names.join("|"),
        path = protocol::DOOR_PATH.replace('.', "\\."),
    );
}

/// An IPv4 or IPv6 address, or the name of a gateway.
const ADDRESS: &str = r"[0-9]+(\.[0-9]+){3}|\[[0-9a-f:.]+\]|gw-pool-[0-9a-z-]+-[0-9]+";

/// The application's socket.
fn upstream(text: &mut String, table: &Table) {
    put!(
        text,
        "
    # Twice the same: a request of which no answer has begun, and that changes nothing,
    # is asked once more.
    upstream lockgate_application {{
        server {addr} max_fails=0;
        server {addr} max_fails=0;
    }}",
        addr = table.application
    );
}

/// Everything that has no name of its own.
fn application(text: &mut String, group: &Group, place: &Place) {
    put!(text, "    server {{");
    for addr in &group.listen {
        put!(
            text,
            "        listen {addr} default_server backlog=4096 so_keepalive=1m:15s:4;"
        );
    }
    put!(
        text,
        "        server_name {name} _;{headers}
        add_header Lockgate-Build $lockgate_build always;
        proxy_hide_header Lockgate-Build;
        error_page 502 504 =502 /{PAGES}/{NO_ANSWER}.$lockgate_page;
        error_page 503 /{PAGES}/{STOPPED}.$lockgate_page;
        location / {{
            if ($lockgate_for_door) {{
                rewrite ^ /{PAGES}/{DOOR} last;
            }}
            if (-f \"{flag}\") {{
                return 503;
            }}
            proxy_pass http://lockgate_application;
        }}
        location = /{PAGES}/{DOOR} {{
            internal;
            add_header Lockgate-Build $lockgate_build always;
            add_header Cache-Control no-store always;
            etag off;
            if_modified_since off;
            max_ranges 0;
        }}",
        name = ports::VPN_GATEWAY,
        headers = group.headers,
        flag = place.named(UNAVAILABLE),
    );
    pages(
        text,
        &format!(
            "add_header Lockgate-Build $lockgate_build always;
            add_header Retry-After {RETRY_AFTER_SECS} always;"
        ),
    );
}

/// User containers that have no route. Nothing is passed on here.
fn no_route(text: &mut String, door: &NginxDoor) {
    put!(text, "    server {{");
    listens(text, door.listen.iter().map(|listen| &listen.addr));
    put!(
        text,
        "        server_name ~^{CONTAINER_PREFIX};
        error_page 404 /{PAGES}/{NO_ROUTE}.$lockgate_page;
        location / {{
            return 404;
        }}"
    );
    pages(text, "");
}

/// A user container.
fn container(text: &mut String, group: &Group, route: &Route) {
    put!(text, "    server {{");
    listens(text, &group.listen);
    put!(
        text,
        "        server_name {name};{headers}
        error_page 502 504 =502 /{PAGES}/{NO_CONTAINER}.$lockgate_page;
        location / {{
            proxy_pass http://{upstream};
        }}",
        name = route.name,
        headers = group.headers,
        upstream = route.upstream(),
    );
    pages(
        text,
        &format!("add_header Retry-After {RETRY_AFTER_SECS} always;"),
    );
}

fn listens<'a>(text: &mut String, listen: impl IntoIterator<Item = &'a SocketAddr>) {
    for addr in listen {
        put!(text, "        listen {addr};");
    }
}

/// The door's own answers, and the end of a server.
fn pages(text: &mut String, headers: &str) {
    let headers = if headers.is_empty() {
        String::new()
    } else {
        format!("\n            {headers}")
    };
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lockgate_model::RouteTable;
    use snapbox::{assert_data_eq, file};

    use super::*;
    use crate::proxy::ForwardedHeaders::{Append, Replace};

    fn rendered(listen: &[(&str, ForwardedHeaders)], routes: &str) -> String {
        let listen = listen.iter().map(|(addr, forwarded)| NginxListen {
            addr: addr.parse().unwrap(),
            forwarded: *forwarded,
        });
        let door = NginxDoor {
            listen: listen.collect(),
            workers_as_root: false,
        };
        let place = Place::new(Path::new("/opt/lockgate/door")).unwrap();
        let table = Table {
            application: ([127, 0, 0, 1], 8888).into(),
            routes: RouteTable::parse(routes).unwrap(),
        };
        render(&door, &place, &table)
    }

    const TWO: &str =
        "uc-2.org-1.domain.local 172.16.0.7 443\nUC-1.org-1.domain.local:80 172.16.0.6 8080\n";

    #[test]
    fn a_container_s_door_with_two_user_containers() {
        let text = rendered(&[("0.0.0.0:7100", Replace), ("0.0.0.0:80", Replace)], TWO);
        assert_data_eq!(text, file!["snapshots/routes.conf"].raw());
    }

    #[test]
    fn a_door_behind_another_proxy_without_routes() {
        let text = rendered(&[("127.0.0.1:7100", Append)], "");
        assert_data_eq!(text, file!["snapshots/behind.conf"].raw());
    }

    #[test]
    fn a_container_s_door_behind_another_proxy_that_user_containers_ask_too() {
        let text = rendered(&[("0.0.0.0:7100", Append), ("0.0.0.0:80", Replace)], TWO);
        assert_data_eq!(text, file!["snapshots/both.conf"].raw());
    }

    #[test]
    fn the_order_in_which_routes_are_set_does_not_matter() {
        let listen = [("[::]:7100", Replace)];
        let (a, b) = ("uc-a.x 172.16.0.6 80", "uc-b.x 172.16.0.7 80");
        let one = rendered(&listen, &format!("{a}\n{b}"));
        let two = rendered(&listen, &format!("{b}\n{a}"));
        assert_eq!(one, two);
        assert!(one.contains("listen [::]:7100 default_server"));
    }
}
