//! Whether this gateway can have a VPN, and what it lacks.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::environment as var;

use super::Problem;
use super::isolation::{self, Isolation};

/// Folders in which system programs lie, where `PATH` does not name them.
const SYSTEM_FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin";

const TUN_DEVICE: &str = "/dev/net/tun";

/// The number of `CAP_NET_ADMIN`.
const NET_ADMIN: u32 = 12;

/// The programs that a VPN takes.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    pub(super) openvpn: PathBuf,
    /// Without it clients cannot be kept apart.
    pub(super) isolation: Option<Isolation>,
}

/// Looks for all that it takes. `alone`: nobody shares this gateway's network.
pub(super) fn look(path: &str, alone: bool) -> Result<Tools, Problem> {
    if !alone {
        return Err(Problem::new(
            format!(
                "this gateway shares its host's network with others (`{}` is set), and a VPN takes the network {}",
                var::LOCKGATE_DOOR_IP,
                lockgate_model::ports::VPN_NETWORK
            ),
            "gateways in containers have one: `lockgate create ENV --runtime docker`",
        ));
    }
    let Some(openvpn) = program(path, "openvpn") else {
        return Err(Problem::new(
            "no `openvpn` is installed here".to_owned(),
            "install it in the gateway's image",
        ));
    };
    let opened = OpenOptions::new().read(true).write(true).open(TUN_DEVICE);
    if let Err(error) = opened {
        return Err(Problem::new(
            format!("cannot open `{TUN_DEVICE}`: {error}"),
            "start the container with `--device /dev/net/tun`",
        ));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !may_administer(&status) {
        return Err(Problem::new(
            "the right to change the network (CAP_NET_ADMIN) is missing".to_owned(),
            "start the container with `--cap-add NET_ADMIN`",
        ));
    }
    Ok(Tools {
        openvpn,
        isolation: Isolation::find(|name| program(path, name)),
    })
}

/// What is missing for one whose clients are kept apart.
pub(super) fn lack(path: &str, alone: bool) -> Option<Problem> {
    match look(path, alone) {
        Err(problem) => Some(problem),
        Ok(tools) if tools.isolation.is_none() => Some(Problem::new(
            format!("its clients cannot be kept apart: {}", isolation::MISSING),
            "install nftables, or else iptables, in the gateway's image",
        )),
        Ok(_) => None,
    }
}

fn program(path: &str, name: &str) -> Option<PathBuf> {
    format!("{path}:{SYSTEM_FOLDERS}")
        .split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(name))
        .find(|program| program.is_file())
}

/// Whether `/proc/self/status` shows the capability among the effective ones.
fn may_administer(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|set| set & (1 << NET_ADMIN) != 0)
}

/// User and group number of `nobody`, where there are both names that openvpn is told.
pub(super) fn nobody() -> Option<(u32, u32)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    nobody_in(&read("/etc/passwd"), &read("/etc/group"))
}

fn nobody_in(passwd: &str, group: &str) -> Option<(u32, u32)> {
    let number = |text: &str, name: &str| {
        let mut lines = text.lines().map(|line| line.split(':'));
        let mut fields = lines.find(|fields| fields.clone().next() == Some(name))?;
        fields.nth(2)?.parse().ok()
    };
    Some((number(passwd, "nobody")?, number(group, "nogroup")?))
}

/// Whether others than its owner can start this program: openvpn does so as `nobody`.
pub(super) fn others_may_start(program: &Path) -> bool {
    mode(program) & 0o5 == 0o5 && program.parent().is_some_and(others_may_pass)
}

/// Whether others reach what lies in this folder, by name.
pub(super) fn others_may_pass(folder: &Path) -> bool {
    folder.ancestors().all(|folder| mode(folder) & 0o1 != 0)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).map_or(0, |about| about.mode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_found_in_its_place() {
        assert!(may_administer("Name:\tx\nCapEff:\t00000000a80435fb\n"));
        assert!(!may_administer("CapEff:\t00000000a80425fb\n"));
        assert!(!may_administer("CapEff:\tnothing\n"));
        assert!(!may_administer(""));
    }

    #[test]
    fn nobody_is_known_by_both_names() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
        let group = "root:x:0:\nnogroup:x:65533:\n";
        assert_eq!(nobody_in(passwd, group), Some((65534, 65533)));
        assert_eq!(nobody_in(passwd, "nobody:x:99:\n"), None);
    }

    #[test]
    fn what_lies_in_a_private_folder_is_out_of_reach() {
        let folder = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(folder.path(), private).unwrap();
        assert!(!others_may_pass(folder.path()));
        assert!(others_may_start(Path::new("/bin/sh")));
        assert!(!others_may_start(Path::new("/etc/passwd")));
    }

    #[test]
    fn a_gateway_that_shares_its_network_has_none() {
        let why = look("/usr/sbin", false).unwrap_err();
        assert!(why.why.contains("shares its host's network"), "{why:?}");
        assert!(why.remedy.contains("--runtime docker"), "{why:?}");
    }
}
