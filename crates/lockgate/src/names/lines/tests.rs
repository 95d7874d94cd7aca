use super::*;

/// What there is to do, as one text.
fn told(resolver: Resolver, domains: &[&str], server: &str) -> String {
    let domains: Vec<String> = domains.iter().map(ToString::to_string).collect();
    let about = About {
        domains: &domains,
        names: &["dev.test".to_owned(), "org-1.dev.test".to_owned()],
        addresses: &["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        server: server.parse().unwrap(),
        upstream: &["127.0.0.1", "10.0.0.53"],
    };
    let lines = lines(resolver, &about);
    let files = lines
        .files
        .iter()
        .map(|it| format!("{}:\n{}", it.path, it.text));
    let commands = lines.commands.iter().map(|it| format!("$ {it}\n"));
    let server = lines.needs_server.then(|| "with a server\n".to_owned());
    files.chain(commands).chain(server).collect()
}

fn check(resolver: Resolver, expected: &str) {
    let found = told(resolver, &["dev.test", "x.localhost"], "127.0.0.1:5353");
    assert_eq!(found, expected, "{resolver}");
}

#[test]
fn each_resolver_is_told_in_its_own_words() {
    check(
        Resolver::SystemdResolved,
        "/etc/systemd/resolved.conf.d/lockgate.conf:\n\
         [Resolve]\nDNS=127.0.0.1:5353\nDomains=~dev.test\n\
         $ sudo systemctl restart systemd-resolved\nwith a server\n",
    );
    let address = "address=/dev.test/127.0.0.1\naddress=/dev.test/::1\n\
                   address=/x.localhost/127.0.0.1\naddress=/x.localhost/::1\n";
    check(
        Resolver::Dnsmasq,
        &format!("/etc/dnsmasq.d/lockgate.conf:\n{address}$ sudo systemctl restart dnsmasq\n"),
    );
    check(
        Resolver::Networkmanager,
        &format!(
            "/etc/NetworkManager/conf.d/lockgate.conf:\n[main]\ndns=dnsmasq\n\
             /etc/NetworkManager/dnsmasq.d/lockgate.conf:\n{address}\
             $ sudo systemctl restart NetworkManager\n"
        ),
    );
    check(
        Resolver::Coredns,
        "Corefile:\ndev.test x.localhost {\n    forward . 127.0.0.1:5353\n}\n\
         $ kill -USR1 $(pidof coredns)\nwith a server\n",
    );
    check(
        Resolver::ResolvConf,
        "/etc/resolv.conf:\nnameserver 127.0.0.1\n\
         $ sudo lockgate dns serve --listen 127.0.0.1:53 --forward 10.0.0.53:53\n",
    );
    check(
        Resolver::Hosts,
        "/etc/hosts:\n127.0.0.1 dev.test\n::1 dev.test\n127.0.0.1 org-1.dev.test\n::1 org-1.dev.test\n",
    );
    let text = "nameserver 127.0.0.1\nport 5353\n";
    check(
        Resolver::Macos,
        &format!(
            "/etc/resolver/dev.test:\n{text}/etc/resolver/x.localhost:\n{text}\
             $ sudo killall -HUP mDNSResponder\nwith a server\n"
        ),
    );
    let windows = told(Resolver::Windows, &["dev.test"], "172.20.0.2:53");
    assert_eq!(
        windows,
        "$ Add-DnsClientNrptRule -Namespace 'dev.test','.dev.test' -NameServers '172.20.0.2'\n\
         $ Clear-DnsClientCache\nwith a server\n"
    );
}

#[test]
fn names_below_localhost_are_nothing_that_systemd_has_to_be_told() {
    let none = told(
        Resolver::SystemdResolved,
        &["x.localhost"],
        "127.0.0.1:5353",
    );
    assert_eq!(none, "");
}
