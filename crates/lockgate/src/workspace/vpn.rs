//! `[vpn]` of lockgate.toml: what clients of a gateway's VPN may reach.

use std::path::Path;

use lockgate_model::vpn::VpnAllowance;

use super::WorkspaceError;
use super::file::VpnTable;
use super::resolve::senseless;
use crate::environment::vpn::VpnSettings;

/// An environment's own list replaces the one for all. The error names every wrong entry.
pub(super) fn vpn(
    root: &Path,
    file: &VpnTable,
    own: &VpnTable,
) -> Result<VpnSettings, WorkspaceError> {
    let given = own.allow.as_ref().or(file.allow.as_ref());
    let (mut allow, mut wrong) = (Vec::new(), Vec::new());
    for text in given.into_iter().flatten() {
        match VpnAllowance::parse(text) {
            Ok(one) => allow.push(one),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() {
        return Ok(VpnSettings { allow });
    }
    let what = format!("`[vpn] allow`: {}", wrong.join("; "));
    Err(senseless(root, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(allow: &[&str]) -> VpnTable {
        VpnTable {
            allow: Some(allow.iter().map(|text| (*text).to_owned()).collect()),
        }
    }

    #[test]
    fn an_environment_s_own_list_replaces_the_one_for_all() {
        let all = table(&["5432/tcp"]);
        let check = |own: &VpnTable, expected: &[&str]| {
            let found = vpn(Path::new("/w"), &all, own).unwrap().allow;
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(&VpnTable::default(), &["5432/tcp"]);
        check(&table(&["53/udp"]), &["53/udp"]);
        check(&table(&[]), &[]);
    }

    #[test]
    fn every_wrong_entry_is_named() {
        let wrong = table(&["5432", "53/udp", "7100/tcp"]);
        let error = vpn(Path::new("/w"), &wrong, &VpnTable::default()).unwrap_err();
        let WorkspaceError::Senseless { what, .. } = error else {
            panic!("{error}");
        };
        for words in ["`[vpn] allow`: `5432` is neither", "; `7100/tcp` opens"] {
            assert!(what.contains(words), "{what}");
        }
        assert!(!what.contains("53/udp"), "{what}");
    }
}
