//! Which resolvers this machine has.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;

/// Who can be told of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resolver {
    /// systemd's.
    SystemdResolved,
    /// dnsmasq by itself.
    Dnsmasq,
    /// dnsmasq as `NetworkManager` runs it.
    Networkmanager,
    /// `CoreDNS`.
    Coredns,
    /// The C library alone: `lockgate dns serve` becomes its name server.
    ResolvConf,
    /// The list of names of this machine.
    Hosts,
    /// macOS.
    Macos,
    /// Windows, also beside WSL.
    Windows,
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SystemdResolved => "systemd-resolved",
            Self::Dnsmasq => "dnsmasq",
            Self::Networkmanager => "networkmanager",
            Self::Coredns => "coredns",
            Self::ResolvConf => "resolv-conf",
            Self::Hosts => "hosts",
            Self::Macos => "macos",
            Self::Windows => "windows",
        })
    }
}

/// What is seen of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Machine {
    /// The text of `/etc/resolv.conf`.
    pub(crate) resolv_conf: String,
    /// Where that leads, if it is a link.
    pub(crate) link: String,
    /// Whether systemd's resolver runs.
    pub(crate) has_resolved: bool,
    /// Whether dnsmasq is set up.
    pub(crate) has_dnsmasq: bool,
    /// Whether `NetworkManager` is set up.
    pub(crate) has_network_manager: bool,
    /// Whether its configuration says `dns=dnsmasq`.
    pub(crate) manages_dnsmasq: bool,
    /// Whether Windows is around it.
    pub(crate) in_wsl: bool,
}

impl Machine {
    /// Looks at the machine whose files lie below `root`.
    pub(crate) fn of(root: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
        let link = std::fs::read_link(root.join("etc/resolv.conf"));
        let manager = root.join("etc/NetworkManager");
        let drop_ins = std::fs::read_dir(manager.join("conf.d"));
        let drop_ins = drop_ins.into_iter().flatten().flatten();
        let configured = drop_ins
            .map(|it| it.path())
            .chain([manager.join("NetworkManager.conf")])
            .filter_map(|path| std::fs::read_to_string(path).ok());
        let says_dnsmasq = |text: String| text.lines().any(|line| line.trim() == "dns=dnsmasq");
        Self {
            resolv_conf: read("etc/resolv.conf"),
            link: link.map_or_else(|_| String::new(), |it| it.display().to_string()),
            has_resolved: root.join("run/systemd/resolve").is_dir(),
            has_dnsmasq: root.join("etc/dnsmasq.conf").is_file(),
            has_network_manager: manager.is_dir(),
            manages_dnsmasq: configured.into_iter().any(says_dnsmasq),
            in_wsl: read("proc/sys/kernel/osrelease")
                .to_lowercase()
                .contains("microsoft"),
        }
    }

    /// The resolvers that fit, best first, each with the reason.
    pub(crate) fn resolvers(&self) -> Vec<(Resolver, &'static str)> {
        let mut all = Vec::new();
        let servers = self.servers();
        let is = |address: &str| servers.contains(&address);
        let to_resolved = self.link.contains("systemd/resolve") || is("127.0.0.53");
        if self.has_resolved && to_resolved {
            all.push((
                Resolver::SystemdResolved,
                "/etc/resolv.conf leads to systemd-resolved",
            ));
        } else if self.has_network_manager && self.manages_dnsmasq {
            all.push((
                Resolver::Networkmanager,
                "NetworkManager is told `dns=dnsmasq`",
            ));
        } else if self.has_dnsmasq && (is("127.0.0.1") || is("::1")) {
            all.push((
                Resolver::Dnsmasq,
                "/etc/resolv.conf names this machine, and dnsmasq is set up",
            ));
        } else if self.has_network_manager && self.resolv_conf.contains("NetworkManager") {
            all.push((
                Resolver::Networkmanager,
                "/etc/resolv.conf is NetworkManager's",
            ));
        } else {
            all.push((
                Resolver::ResolvConf,
                "programs ask the servers in /etc/resolv.conf directly",
            ));
        }
        all.push((
            Resolver::Hosts,
            "every machine has it; it knows no wildcards",
        ));
        if self.in_wsl {
            all.push((Resolver::Windows, "browsers of Windows ask Windows"));
        }
        all
    }

    /// The name servers in `/etc/resolv.conf`.
    pub(crate) fn servers(&self) -> Vec<&str> {
        let lines = self.resolv_conf.lines();
        let servers = lines.filter_map(|line| line.trim().strip_prefix("nameserver"));
        servers.map(str::trim).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(change: impl FnOnce(&mut Machine), expected: &[Resolver]) {
        let mut machine = Machine::default();
        change(&mut machine);
        let found: Vec<Resolver> = machine.resolvers().iter().map(|(it, _)| *it).collect();
        assert_eq!(found, expected, "{machine:?}");
    }

    #[test]
    fn a_machine_is_told_what_fits_it() {
        use Resolver::{Dnsmasq, Hosts, Networkmanager, ResolvConf, SystemdResolved, Windows};
        check(|_| {}, &[ResolvConf, Hosts]);
        check(|it| it.in_wsl = true, &[ResolvConf, Hosts, Windows]);
        let stub = |it: &mut Machine| {
            it.link = "../run/systemd/resolve/stub-resolv.conf".to_owned();
            it.has_resolved = true;
        };
        check(stub, &[SystemdResolved, Hosts]);
        let unused = |it: &mut Machine| {
            it.has_resolved = true;
            it.resolv_conf = "nameserver 10.0.0.1\n".to_owned();
        };
        check(unused, &[ResolvConf, Hosts]);
        let dnsmasq = |it: &mut Machine| {
            it.has_dnsmasq = true;
            it.resolv_conf = "search x\nnameserver\t127.0.0.1\n".to_owned();
        };
        check(dnsmasq, &[Dnsmasq, Hosts]);
        let manager = |it: &mut Machine| {
            it.has_network_manager = true;
            it.resolv_conf = "# Generated by NetworkManager\nnameserver 10.0.0.1\n".to_owned();
        };
        check(manager, &[Networkmanager, Hosts]);
        let with_dnsmasq = |it: &mut Machine| {
            it.has_network_manager = true;
            it.manages_dnsmasq = true;
        };
        check(with_dnsmasq, &[Networkmanager, Hosts]);
    }

    #[test]
    fn a_machine_is_seen_by_its_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Machine::of(root.path()), Machine::default());
        for folder in [
            "etc/NetworkManager/conf.d",
            "run/systemd/resolve",
            "proc/sys/kernel",
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for (file, text) in [
            (
                "etc/NetworkManager/conf.d/dns.conf",
                "[main]\ndns=dnsmasq\n",
            ),
            ("etc/dnsmasq.conf", ""),
            (
                "proc/sys/kernel/osrelease",
                "5.15-microsoft-standard-WSL2\n",
            ),
            ("run/systemd/resolve/stub.conf", "nameserver 127.0.0.53\n"),
        ] {
            fs::write(root.path().join(file), text).unwrap();
        }
        let link = "../run/systemd/resolve/stub.conf";
        std::os::unix::fs::symlink(link, root.path().join("etc/resolv.conf")).unwrap();
        let found = Machine::of(root.path());
        assert_eq!(found.servers(), ["127.0.0.53"]);
        assert_eq!(found.link, link);
        assert!(found.has_resolved && found.has_dnsmasq && found.in_wsl);
        assert!(found.has_network_manager && found.manages_dnsmasq);
    }
}
