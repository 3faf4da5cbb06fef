//! Each mode, what is left of it, and what is not.

use similar::TextDiff;

use crate::node::{VARIANTS, cleanup, load_iptables_mode, load_ipvs_mode, load_nftables_mode, load_others};
use crate::node::{restore, state};
use crate::sandbox::{Run, run, sandbox};

#[track_caller]
fn assert_same(found: &str, expected: &str, what: &str) {
    let difference = TextDiff::from_lines(expected, found).unified_diff().to_string();
    assert!(found == expected, "{what}\n{difference}");
}

fn ran(run: &Run) -> (Option<i32>, &str) {
    (run.code, run.err.as_str())
}

/// Cleans a node up that kube-proxy was on; says what went.
#[track_caller]
fn check(load: fn(), expected: &[&str]) {
    sandbox(|| {
        load_others();
        let before = state();
        let nothing = cleanup(&[]);
        assert_eq!((ran(&nothing), nothing.out.as_str()), ((Some(0), ""), "unchanged\n"));
        assert_same(&state(), &before, "kube-proxy was never here");

        load();
        let loaded = state();
        assert_ne!(loaded, before);
        let planned = cleanup(&["--dry-run"]);
        assert_eq!(ran(&planned), (Some(0), ""));
        assert_same(&state(), &loaded, "a dry run");
        let removed = cleanup(&[]);
        assert_eq!(ran(&removed), (Some(0), ""));
        assert_eq!(planned.out.replace("would be removed:", "removed:"), removed.out);
        assert_eq!(removed.out.lines().collect::<Vec<_>>(), [&["removed:"], expected].concat());
        assert_same(&state(), &before, "others'");
        assert_eq!(cleanup(&[]).out, "unchanged\n");
    });
}

#[test]
fn the_mode_nftables_leaves_two_tables() {
    check(load_nftables_mode, &["nftables: table ip kube-proxy", "nftables: table ip6 kube-proxy"]);
}

#[test]
fn the_mode_iptables_leaves_chains_and_the_rules_that_lead_there() {
    let expected = VARIANTS.map(|variant| {
        [
            format!("{variant}: table filter: 6 chains, 9 rules that lead to them"),
            format!("{variant}: table mangle: 1 chains, 0 rules that lead to them"),
            format!("{variant}: table nat: 13 chains, 3 rules that lead to them"),
        ]
    });
    let expected: Vec<&str> = expected.iter().flatten().map(String::as_str).collect();
    check_unordered(load_iptables_mode, &expected);
}

#[test]
fn the_mode_ipvs_leaves_sets_too() {
    let mut expected: Vec<String> = VARIANTS
        .iter()
        .flat_map(|variant| {
            [
                format!("{variant}: table filter: 6 chains, 6 rules that lead to them"),
                format!("{variant}: table nat: 5 chains, 3 rules that lead to them"),
            ]
        })
        .collect();
    for set in [
        "CLUSTER-IP",
        "EXTERNAL-IP-LOCAL",
        "HEALTH-CHECK-NODE-PORT",
        "IPVS-IPS",
        "LOAD-BALANCER-SOURCE-CIDR",
        "LOOP-BACK",
        "NODE-PORT-TCP",
    ] {
        let six = format!("KUBE-6-{set}").chars().take(31).collect::<String>();
        expected.extend([format!("ipset: KUBE-{set}"), format!("ipset: {six}")]);
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_unordered(load_ipvs_mode, &expected);
}

/// As [`check`], where the order in which the kernel lists things is not ours to say.
#[track_caller]
fn check_unordered(load: fn(), expected: &[&str]) {
    let lines = sandbox(|| {
        load_others();
        load();
        cleanup(&["--dry-run"]).out
    });
    let mut sorted: Vec<&str> = lines.lines().skip(1).collect();
    sorted.sort_unstable();
    let mut wanted = expected.to_vec();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted);
    check(load, &lines.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn all_modes_one_after_the_other_leave_nothing() {
    sandbox(|| {
        load_others();
        let before = state();
        load_iptables_mode();
        load_nftables_mode();
        assert_eq!(ran(&cleanup(&[])), (Some(0), ""));
        load_ipvs_mode();
        assert_eq!(ran(&cleanup(&[])), (Some(0), ""));
        assert_same(&state(), &before, "others'");
    });
}

/// The port mapping of CNI can be told to use kube-proxy's chain, and people write rules of their own.
#[test]
fn what_others_need_stays_and_is_told() {
    let theirs = "*nat\n-A CNI-HOSTPORT-SETMARK -j KUBE-MARK-MASQ\nCOMMIT\n";
    let mark = "*nat\n:KUBE-MARK-MASQ - [0:0]\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n";
    let set = "*filter\n-A DOCKER-USER -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN\nCOMMIT\n";
    sandbox(|| {
        load_others();
        restore("iptables-legacy", mark);
        restore("iptables-legacy", theirs);
        let before = state();
        load_iptables_mode();
        let removed = cleanup(&[]);
        assert_eq!(removed.code, Some(0));
        let note = "iptables-legacy: table nat: chain KUBE-MARK-MASQ stays, because a rule of chain CNI-HOSTPORT-SETMARK";
        assert!(removed.err.contains(note), "{}", removed.err);
        assert_same(&state(), &before, "others'");
    });
    sandbox(|| {
        load_others();
        load_ipvs_mode();
        restore("iptables-nft", set);
        let removed = cleanup(&[]);
        assert_eq!(removed.code, Some(0));
        let note = "ipset: KUBE-CLUSTER-IP stays, because a rule that is not kube-proxy's needs it";
        assert!(removed.err.contains(note), "{}", removed.err);
        let names = run("ipset", &["list", "-name"], "").out;
        let mut names: Vec<&str> = names.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["KUBE-CLUSTER-IP", "KUBE-DST-ABCDEFGHIJ234567"]);
    });
}

#[test]
fn without_the_programs_the_rest_is_removed_and_it_is_said() {
    sandbox(|| {
        load_nftables_mode();
        // `env` finds the program itself by a path; what it looks for then is nowhere.
        let hidden = [
            "--mount",
            "sh",
            "-c",
            "mount --make-rprivate / && mount -t tmpfs none /usr/sbin && exec \"$@\"",
            "sh",
            crate::sandbox::SVCNAT,
            "cleanup",
            "--kube-proxy",
        ];
        let removed = run("unshare", &hidden, "");
        assert_eq!(removed.code, Some(0), "{}", removed.err);
        assert!(removed.err.contains("no iptables is installed here"), "{}", removed.err);
        assert_eq!(removed.out, "removed:\nnftables: table ip kube-proxy\nnftables: table ip6 kube-proxy\n");
        assert_eq!(crate::sandbox::listing(), "");
    });
}
