use super::*;
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;
const V1_MOUNT: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
const V2_MOUNT: &str =
    "41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const MEMINFO: &str =
    "MemTotal:       24684084 kB\nMemFree:         1000 kB\nMemAvailable:    8388608 kB\n";

/// A file system of these files, numbers of mebibytes written as `12M`.
fn check(what: &str, files: &[(&str, &str)], expected_mib: Option<u64>) {
    let files: BTreeMap<PathBuf, String> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), bytes(text)))
        .collect();
    let free = free_bytes("self", &|path| files.get(path).cloned());
    assert_eq!(free, expected_mib.map(|mib| mib * MIB), "{what}");
}

fn bytes(text: &str) -> String {
    let line = |line: &str| match line.strip_suffix('M').and_then(|it| it.rsplit_once(' ')) {
        Some((name, mib)) => format!("{name} {}", mib.parse::<u64>().unwrap() * MIB),
        None => match line.strip_suffix('M') {
            Some(mib) => (mib.parse::<u64>().unwrap() * MIB).to_string(),
            None => line.to_owned(),
        },
    };
    text.lines().map(|it| line(it) + "\n").collect()
}

#[test]
fn the_innermost_limit_of_version_1_counts_without_unused_files() {
    check(
        "a group of a host",
        &[
            ("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/app\n0::/"),
            ("/proc/self/mountinfo", V1_MOUNT),
            ("/proc/meminfo", MEMINFO),
            ("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "512M"),
            ("/sys/fs/cgroup/memory/app/memory.usage_in_bytes", "300M"),
            (
                "/sys/fs/cgroup/memory/app/memory.stat",
                "inactive_file 1M\ntotal_inactive_file 100M",
            ),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712",
            ),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4000M"),
        ],
        Some(312),
    );
}

#[test]
fn a_container_of_version_1_finds_its_group_at_the_mount() {
    let mount = "35 31 0:32 /docker/4711 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
    let of_container = |cgroup, mount, expected| {
        check(
            mount,
            &[
                ("/proc/self/cgroup", cgroup),
                ("/proc/self/mountinfo", mount),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "512M"),
                ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "500M"),
                ("/proc/meminfo", MEMINFO),
            ],
            expected,
        );
    };
    // Without a name space of its own, with one, and as seen from outside of one.
    of_container("4:memory:/docker/4711", mount, Some(12));
    of_container("4:memory:/", V1_MOUNT, Some(12));
    of_container("4:memory:/../other", V1_MOUNT, Some(12));
    of_container("11:cpu,memory:/docker/4711", mount, Some(12));
    of_container("4:cpu:/docker/4711", mount, Some(8192));
}

#[test]
fn version_1_tells_limits_of_groups_that_cannot_be_seen() {
    check(
        "hierarchical limit",
        &[
            ("/proc/self/cgroup", "4:memory:/"),
            ("/proc/self/mountinfo", V1_MOUNT),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712",
            ),
            ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "40M"),
            (
                "/sys/fs/cgroup/memory/memory.stat",
                "hierarchical_memory_limit 256M",
            ),
        ],
        Some(216),
    );
}

#[test]
fn the_smallest_room_of_nested_groups_of_version_2_counts() {
    let nested = |inner_max, inner_high, outer_max, expected| {
        check(
            "nested",
            &[
                ("/proc/self/cgroup", "0::/pod/app"),
                ("/proc/self/mountinfo", V2_MOUNT),
                ("/proc/meminfo", MEMINFO),
                ("/sys/fs/cgroup/pod/app/memory.max", inner_max),
                ("/sys/fs/cgroup/pod/app/memory.high", inner_high),
                ("/sys/fs/cgroup/pod/app/memory.current", "200M"),
                (
                    "/sys/fs/cgroup/pod/app/memory.stat",
                    "anon 9M\ninactive_file 50M",
                ),
                ("/sys/fs/cgroup/pod/memory.max", outer_max),
                ("/sys/fs/cgroup/pod/memory.high", "max"),
                ("/sys/fs/cgroup/pod/memory.current", "900M"),
                ("/sys/fs/cgroup/pod/memory.stat", "inactive_file 100M"),
            ],
            expected,
        );
    };
    nested("512M", "max", "max", Some(362));
    nested("512M", "400M", "max", Some(250));
    nested("512M", "max", "1000M", Some(200));
    nested("max", "max", "1000M", Some(200));
    nested("max", "max", "max", Some(8192));
    // It is over its limit already.
    nested("100M", "max", "max", Some(0));
}

#[test]
fn both_versions_are_looked_at_where_both_are_mounted() {
    let unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let hybrid = |v2_max, expected| {
        check(
            "hybrid",
            &[
                ("/proc/self/cgroup", "4:memory:/app\n0::/app"),
                ("/proc/self/mountinfo", &[V1_MOUNT, unified].concat()),
                ("/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "512M"),
                ("/sys/fs/cgroup/memory/app/memory.usage_in_bytes", "100M"),
                ("/sys/fs/cgroup/unified/app/memory.max", v2_max),
                ("/sys/fs/cgroup/unified/app/memory.current", "100M"),
            ],
            expected,
        );
    };
    hybrid("300M", Some(200));
    hybrid("max", Some(412));
}

#[test]
fn what_is_missing_limits_nothing() {
    check("nothing at all", &[], None);
    check("no cgroups", &[("/proc/meminfo", MEMINFO)], Some(8192));
    check(
        "an old kernel",
        &[(
            "/proc/meminfo",
            "MemTotal:  24684084 kB\nMemFree:  1000 kB\n",
        )],
        None,
    );
    check(
        "a mount without files",
        &[
            ("/proc/self/cgroup", "4:memory:/app\n0::/app"),
            ("/proc/self/mountinfo", V1_MOUNT),
            ("/proc/meminfo", MEMINFO),
        ],
        Some(8192),
    );
    check(
        "no mount",
        &[
            ("/proc/self/cgroup", "0::/app"),
            (
                "/proc/self/mountinfo",
                "22 1 0:21 / /proc rw - proc proc rw\nnonsense\n",
            ),
            ("/sys/fs/cgroup/app/memory.max", "1M"),
            ("/sys/fs/cgroup/app/memory.current", "1M"),
        ],
        None,
    );
    check(
        "a limit without a use",
        &[
            ("/proc/self/cgroup", "0::/app"),
            ("/proc/self/mountinfo", V2_MOUNT),
            ("/sys/fs/cgroup/app/memory.max", "1M"),
        ],
        None,
    );
}

#[test]
fn a_second_mount_that_shows_the_group_is_preferred() {
    let elsewhere = "50 31 0:38 /other /mnt/other\\040one rw - cgroup2 cgroup2 rw\n";
    let hierarchies = |mounts: &str| Hierarchy::all("0::/pod/app", mounts);
    let found = Hierarchy {
        version: Version::V2,
        mount: "/sys/fs/cgroup".into(),
        own: "pod/app".into(),
    };
    assert_eq!(hierarchies(&[elsewhere, V2_MOUNT].concat()), [found]);
    let only = Hierarchy {
        version: Version::V2,
        mount: "/mnt/other one".into(),
        own: PathBuf::new(),
    };
    assert_eq!(hierarchies(elsewhere), [only]);
}
