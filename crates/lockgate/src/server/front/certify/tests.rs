use std::fs;

use lockgate_model::{GatewayName, OrganizationId, RouteName};
use time::Duration;
use time::macros::datetime;

use super::*;
use crate::environment::tests::home;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const ID: &str = "0d1b3c5e-0000-4000-8000-00000000000a";

/// An environment on `{name}.test` that serves one organization.
fn environment(name: &str, created_ms: u64) -> FrontEnvironment {
    let env = EnvName::parse(name).unwrap();
    let organization = OrganizationId::parse(ID).unwrap();
    FrontEnvironment {
        created_ms,
        domain: RouteName::parse(&format!("{name}.test")).unwrap(),
        apex: None,
        ganymede: None,
        organizations: [(organization, GatewayName::new(&env, 0))].into(),
        name: env,
    }
}

/// Files with a certificate for these names that another home has signed.
fn foreign(folder: &Path, names: &[&str]) -> Files {
    let other = folder.join("other");
    fs::create_dir_all(&other).unwrap();
    let authority = Authority::of_home(&home(&other), "a@b", NOW).unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let leaf = keep(&other.join("tls"), &authority, &names, NOW).unwrap();
    let files = (folder.join("own.pem"), folder.join("own.key"));
    fs::write(&files.0, &leaf.chain).unwrap();
    fs::write(&files.1, &leaf.key).unwrap();
    files
}

/// Who signed what a client is shown who asks for this name: the given files, or the home.
struct Shows {
    folder: tempfile::TempDir,
    certifier: Certifier,
    table: FrontTable,
}

impl Shows {
    fn new(environments: Vec<FrontEnvironment>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = home(&folder.path().join("own"));
        Self {
            certifier: Certifier::new(own, "a@b".to_owned()),
            folder,
            table: FrontTable::new(environments, []),
        }
    }

    fn certify(&mut self, given: &[(&str, &Files)], days: i64) -> Certified {
        let given = given
            .iter()
            .map(|(env, files)| (EnvName::parse(env).unwrap(), (*files).clone()));
        let now = NOW + Duration::days(days);
        self.certifier.certify(&self.table, &given.collect(), now)
    }

    /// The names of the certificate that is shown for a host.
    fn names(certified: &Certified, host: &str) -> Vec<String> {
        let found = certified.certificates.find(host);
        found.map_or_else(Vec::new, |it| it.names().to_vec())
    }

    fn has_authority(&self) -> bool {
        self.folder.path().join("own/ca/ca.pem").exists()
    }
}

#[test]
fn what_a_given_certificate_covers_is_not_signed() {
    let mut shows = Shows::new(vec![environment("a", 1)]);
    let level = format!("*.org-{ID}.a.test");
    let all = ["a.test", "*.a.test", &level];
    let files = foreign(shows.folder.path(), &all);
    let certified = shows.certify(&[("a", &files)], 0);
    assert_eq!(certified.problems, Vec::<String>::new());
    assert_eq!(Shows::names(&certified, "x.a.test").len(), 3);
    assert!(!shows.has_authority());

    // What it does not cover is signed.
    let files = foreign(shows.folder.path(), &["a.test", "*.a.test"]);
    let certified = shows.certify(&[("a", &files)], 0);
    assert_eq!(Shows::names(&certified, "x.a.test").len(), 2);
    let below = Shows::names(&certified, &format!("uc-1.org-{ID}.a.test"));
    assert_eq!(below, [level]);
    assert!(shows.has_authority());
}

#[test]
fn one_that_cannot_be_used_is_a_problem_of_its_environment_alone() {
    let mut shows = Shows::new(vec![environment("a", 1), environment("b", 2)]);
    let folder = shows.folder.path().to_owned();
    let good = foreign(&folder, &["a.test", "*.a.test"]);
    let none = (folder.join("none.pem"), good.1.clone());
    let certified = shows.certify(&[("a", &good), ("b", &none)], 0);
    let [problem] = certified.problems.as_slice() else {
        panic!("{:?}", certified.problems);
    };
    assert!(
        problem.starts_with("the certificate of `b` cannot be used: `"),
        "{problem}"
    );
    assert!(problem.contains("none.pem` cannot be read"), "{problem}");
    assert_eq!(Shows::names(&certified, "x.a.test").len(), 2);
    // Its names are signed meanwhile, so that it is reached.
    assert_eq!(Shows::names(&certified, "x.b.test"), ["b.test", "*.b.test"]);

    let strange = shows.certify(&[("b", &good)], 0).problems;
    assert!(
        strange[0].ends_with("own.pem` is for no name of `b.test`"),
        "{strange:?}"
    );
}

#[test]
fn one_that_was_good_is_shown_until_it_ends_or_another_is_named() {
    let mut shows = Shows::new(vec![environment("a", 1)]);
    let folder = shows.folder.path().to_owned();
    let files = foreign(&folder, &["*.a.test"]);
    let is_given = |certified: &Certified| Shows::names(certified, "x.a.test") == ["*.a.test"];
    assert!(is_given(&shows.certify(&[("a", &files)], 0)));

    fs::write(&files.0, "half").unwrap();
    let certified = shows.certify(&[("a", &files)], 89);
    assert!(is_given(&certified));
    assert_eq!(certified.problems.len(), 1);

    let certified = shows.certify(&[("a", &files)], 91);
    assert!(!is_given(&certified));
    assert_eq!(Shows::names(&certified, "x.a.test"), ["a.test", "*.a.test"]);

    let certified = shows.certify(&[], 0);
    assert_eq!(certified.problems, Vec::<String>::new());
    assert!(!is_given(&certified));
}

#[test]
fn an_environment_whose_folder_cannot_be_written_keeps_what_it_showed() {
    let mut shows = Shows::new(vec![environment("a", 1), environment("b", 2)]);
    let before = shows.certify(&[], 0);
    let tls = shows.folder.path().join("own/envs/a/tls");
    fs::remove_dir_all(&tls).unwrap();
    fs::write(&tls, "in the way").unwrap();
    let certified = shows.certify(&[], 61);
    assert_eq!(certified.problems.len(), 2, "{:?}", certified.problems);
    let same = |host: &str| {
        let (old, new) = (
            before.certificates.find(host).unwrap(),
            certified.certificates.find(host).unwrap(),
        );
        Arc::ptr_eq(old, new)
    };
    assert!(same("a.test"));
    assert!(!same("b.test"));
}
