//! `--proxy-mode iptables`: the real programs, in both variants, with rules of others around ours.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::sandbox::{SVCNAT, folder, golden, listing, nft, on_node_a, run, sandbox, svcnat};

const MODE: [&str; 2] = ["--proxy-mode", "iptables"];

/// Cases with all kinds of chains, in both families.
const CASES: [&str; 4] =
    ["protocols-dual-stack", "affinity-dual-stack", "external-policy-local", "source-ranges-dual-stack"];

const VARIANTS: [&str; 2] = ["nft", "legacy"];

/// Rules of somebody else's, and kubelet's word for the variant.
const OTHERS: &str = "\
*mangle
:KUBE-IPTABLES-HINT - [0:0]
COMMIT
*filter
:OTHERS - [0:0]
-A INPUT -j OTHERS
-A FORWARD -j OTHERS
-A OTHERS -i eth9 -m comment --comment \"to SVCNAT-SERVICES\" -j DROP
COMMIT
*nat
:SVC-OTHERS - [0:0]
-A PREROUTING -j SVC-OTHERS
-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE
COMMIT
";

fn restore(variant: &str, script: &str) {
    for family in ["iptables", "ip6tables"] {
        // What is about IPv4 alone is left out of IPv6.
        let script: String = match family {
            "iptables" => script.to_owned(),
            _ => script
                .lines()
                .filter(|line| !line.contains("192.0.2"))
                .map(|line| format!("{line}\n"))
                .collect(),
        };
        let program = format!("{family}-{variant}-restore");
        let restore = run(&program, &["--noflush", "-w", "5"], &script);
        assert_eq!(restore.code, Some(0), "{program}: {}", restore.err);
    }
}

/// What both families hold, without comments.
fn save(variant: &str) -> String {
    let of_family = |family: &str| {
        let save = run(&format!("{family}-{variant}-save"), &[], "");
        assert_eq!(save.code, Some(0), "{}", save.err);
        save.out
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    of_family("iptables") + &of_family("ip6tables")
}

/// `svcnat COMMAND` on a golden case with iptables.
fn with_iptables(command: &str, case: &str, more: &[&str]) -> String {
    on_node_a(command, &golden(case), &[&MODE[..], more].concat())
}

#[test]
fn a_second_time_nothing_changes_and_cleanup_leaves_what_others_have() {
    for variant in VARIANTS {
        for case in CASES {
            sandbox(|| {
                restore(variant, OTHERS);
                let untouched = save(variant);
                assert!(with_iptables("apply", case, &[]).starts_with("chains +"), "{variant}, {case}");
                let applied = save(variant);
                assert!(applied.contains("\n:SVCNAT-SERVICES "), "{variant}, {case}: {applied}");
                assert_eq!(with_iptables("apply", case, &[]), "unchanged\n", "{variant}, {case}");
                assert_eq!(save(variant), applied);
                let planned = svcnat(&["cleanup", "--dry-run"]).out;
                assert!(planned.starts_with("chains -") && planned.ends_with(" (dry run)\n"), "{planned}");
                assert_eq!(save(variant), applied);
                assert!(svcnat(&["cleanup"]).out.starts_with("chains -"), "{variant}, {case}");
                assert_eq!(save(variant), untouched, "{variant}, {case}");
                assert_eq!(svcnat(&["cleanup"]).out, "unchanged\n");
            });
        }
    }
}

#[test]
fn the_variant_that_kubelet_uses_is_taken_and_the_other_one_left_alone() {
    for [variant, other] in [VARIANTS, ["legacy", "nft"]] {
        sandbox(|| {
            // More rules weigh less than kubelet's word.
            restore(other, "*filter\n:X - [0:0]\n-A X -j RETURN\n-A X -j DROP\n-A X -j DROP\nCOMMIT\n");
            let untouched = save(other);
            restore(variant, "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n");
            with_iptables("apply", "web", &[]);
            assert!(save(variant).contains("SVCNAT-SERVICES"), "{variant}");
            assert_eq!(save(other), untouched, "{variant}");
        });
    }
}

#[test]
fn the_variant_with_more_rules_is_taken_where_kubelet_says_nothing() {
    sandbox(|| {
        restore(
            "legacy",
            OTHERS.split_once("*filter").map(|(_, rest)| format!("*filter{rest}")).unwrap().as_str(),
        );
        with_iptables("apply", "web", &[]);
        assert!(save("legacy").contains("SVCNAT-SERVICES"));
        assert!(!save("nft").contains("SVCNAT"));
    });
}

#[test]
fn going_from_one_mode_or_variant_to_another_leaves_nothing_behind() {
    let hint = |variant: &str, line: &str| {
        restore(variant, &format!("*mangle\n:KUBE-IPTABLES-HINT - [0:0]\n{line}COMMIT\n"));
    };
    let where_ours_are = || {
        let tables = nft(&["list", "tables"], "").contains("svcnat");
        [tables, save("nft").contains("SVCNAT"), save("legacy").contains("SVCNAT")]
    };
    sandbox(|| {
        on_node_a("apply", &golden("web"), &[]);
        assert_eq!(where_ours_are(), [true, false, false]);
        hint("nft", "");
        with_iptables("apply", "web", &[]);
        assert_eq!(where_ours_are(), [false, true, false]);
        hint("nft", "-X KUBE-IPTABLES-HINT\n");
        hint("legacy", "");
        with_iptables("apply", "web", &[]);
        assert_eq!(where_ours_are(), [false, false, true]);
        on_node_a("apply", &golden("web"), &[]);
        assert_eq!(where_ours_are(), [true, false, false]);
    });
}

#[test]
fn diff_says_what_apply_would_change() {
    sandbox(|| {
        restore("nft", OTHERS);
        with_iptables("apply", "web", &[]);
        let step = golden("web").join("next");
        let diff = |more: &[&str]| {
            let path = step.to_str().unwrap();
            let head = ["diff", "-f", path, "--hostname-override", "node-a", "--cluster-cidr"];
            let run = svcnat(&[&head[..], &["10.244.0.0/16,fd00:10:244::/48"], &MODE, more].concat());
            assert_eq!(run.err, "");
            (run.code, run.out)
        };
        let before = save("nft");
        let (code, text) = diff(&[]);
        assert_eq!(code, Some(1));
        assert!(text.contains("IPv4 nat SVCNAT-"), "{text}");
        let script = diff(&["-o", "iptables"]).1;
        let apply = |more: &[&str]| on_node_a("apply", &step, &[&MODE[..], more].concat());
        let printed = apply(&["--dry-run", "-o", "iptables"]);
        assert!(printed.starts_with(&script) && printed.ends_with("(dry run)\n"), "{printed}");
        assert_eq!(save("nft"), before);
        // The script does the same as the command.
        let (_, ipv4) = script.split_once("# IPv4: iptables-restore --noflush\n").unwrap();
        let restore = run("iptables-nft-restore", &["--noflush"], ipv4);
        assert_eq!(restore.code, Some(0), "{}", restore.err);
        assert_eq!(diff(&[]), (Some(0), String::new()));
        assert_eq!(apply(&[]), "unchanged\n");
    });
}

/// Puts programs of iptables in front of the real ones: those that only look are the real ones, the others note that they
/// ran.
#[test]
fn a_no_op_runs_no_restore() {
    let folder = folder(&[]);
    let witness = folder.path().join("ran");
    for program in ["iptables-nft-restore", "ip6tables-nft-restore"] {
        let path = folder.path().join(program);
        let script =
            format!("#!/bin/sh\necho $0 >> {}\nexec /usr/sbin/{program} \"$@\"\n", witness.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", folder.path().display());
    let apply = |manifests: &std::path::Path| {
        let head = [path.as_str(), SVCNAT, "apply", "-f", manifests.to_str().unwrap()];
        let apply = run("env", &[&head[..], &["--hostname-override", "node-a"], &MODE].concat(), "");
        assert_eq!((apply.code, apply.err.as_str()), (Some(0), ""));
        let ran = fs::read_to_string(&witness).unwrap_or_default().lines().count();
        let _ = fs::remove_file(&witness);
        ran
    };
    sandbox(|| {
        assert_eq!(apply(&golden("affinity-dual-stack")), 2, "one call for each family");
        assert_eq!(apply(&golden("affinity-dual-stack")), 0);
        assert_eq!(apply(&golden("affinity")), 2, "one family goes, one changes");
    });
}

#[test]
fn what_the_programs_refuse_is_said_in_their_words() {
    sandbox(|| {
        restore("nft", "*nat\n:SVCNAT-OLD - [0:0]\n:OTHERS - [0:0]\n-A OTHERS -j SVCNAT-OLD\nCOMMIT\n");
        let before = listing();
        let run = svcnat(&["cleanup"]);
        assert_eq!((run.code, run.out.as_str()), (Some(4), ""), "{}", run.err);
        assert!(
            run.err.contains("iptables-nft-restore failed") && run.err.contains("as they were"),
            "{}",
            run.err
        );
        assert_eq!(listing(), before);
        let web = golden("web");
        let no_capabilities = ["--inh-caps=-all", "--bounding-set=-all", SVCNAT, "apply", "-f"];
        let arguments = [&no_capabilities[..], &[web.to_str().unwrap()], &MODE].concat();
        let run = crate::sandbox::run("setpriv", &arguments, "");
        assert_eq!((run.code, run.out.as_str()), (Some(4), ""), "{}", run.err);
        assert!(run.err.contains("-save failed") && run.err.contains("you must be root"), "{}", run.err);
        assert_eq!(listing(), before);
    });
}

#[test]
fn each_mode_has_its_own_form_of_script() {
    let check = |arguments: &[&str], complaint: &str| {
        let web = golden("web");
        let run = sandbox(|| svcnat(&[&["apply", "-f", web.to_str().unwrap()], arguments].concat()));
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.contains(complaint), "{}", run.err);
    };
    check(&["-o", "iptables"], "needs --proxy-mode iptables");
    check(&["-o", "nft", "--proxy-mode", "iptables"], "it is --output iptables");
}
