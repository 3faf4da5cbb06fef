//! `svcnat check`, and what `svcnat status` says without an agent.

use serde_json::Value;
use svcnat::netlink::Netlink;

use crate::sandbox::{golden, listing, nft, on_node_a, run, sandbox, svcnat};

fn generation() -> u32 {
    Netlink::open().unwrap().generation().unwrap()
}

#[test]
fn every_feature_is_tried_and_nothing_is_left_of_it() {
    sandbox(|| {
        let before = generation();
        let check = svcnat(&["check"]);
        assert_eq!((check.code, check.err.as_str()), (Some(0), ""), "{}", check.out);
        for module in
            ["nf_tables", "nft_chain_nat", "nft_masq", "nft_numgen", "nft_fib", "nf_conntrack_netlink"]
        {
            let line = check.out.lines().find(|line| line.starts_with(&format!("{module} ")));
            assert_eq!(line.and_then(|line| line.split_whitespace().nth(1)), Some("ok"), "{}", check.out);
        }
        assert!(!check.out.contains("--counters"), "{}", check.out);
        let check = svcnat(&["check", "--counters"]);
        let line = check.out.lines().find_map(|line| line.strip_prefix("nf_tables (sets that count)"));
        assert_eq!(line.and_then(|line| line.split_whitespace().next()), Some("ok"), "{}", check.out);
        assert_eq!((generation(), listing().as_str()), (before, ""), "{}", check.out);
    });
}

#[test]
fn our_own_rules_are_not_in_the_way_and_stay() {
    sandbox(|| {
        on_node_a("apply", &golden("web"), &[]);
        let before = (generation(), listing());
        let check = svcnat(&["check", "-o", "json"]);
        assert_eq!((check.code, check.err.as_str()), (Some(0), ""));
        assert_eq!((generation(), listing()), before);
        let report: Value = serde_json::from_str(&check.out).unwrap();
        let features = report["features"].as_array().unwrap();
        assert!(features.len() > 10, "{}", check.out);
        assert!(features.iter().all(|finding| finding["present"] == true || finding["optional"] == true));
        assert_eq!(report["warnings"], serde_json::json!([]));
        let release = run("uname", &["-r"], "").out;
        assert_eq!(report["kernel"].as_str(), Some(release.trim_end()));
        let libraries: Vec<_> =
            report["libraries"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(libraries, ["libnftnl", "libmnl"]);
    });
}

#[test]
fn neighbours_are_told_of() {
    #[track_caller]
    fn check(script: &str, warning: &str) {
        sandbox(|| {
            nft(&["-f", "-"], script);
            let check = svcnat(&["check"]);
            assert_eq!((check.code, check.err.as_str()), (Some(0), ""), "{}", check.out);
            assert!(check.out.contains(warning), "{script}: {}", check.out);
        });
    }
    check("table inet firewalld {}", "firewalld is at work");
    check("table ip kube-proxy {}", "kube-proxy has rules here");
}

#[test]
fn rules_of_both_modes_are_told_of() {
    sandbox(|| {
        on_node_a("apply", &golden("web"), &["--proxy-mode", "iptables"]);
        assert!(!svcnat(&["check"]).out.contains("modes"));
        let table = "table ip svcnat {}";
        nft(&["-f", "-"], table);
        let check = svcnat(&["check"]);
        assert!(
            check.out.contains("rules of both of svcnat's modes, nftables and iptables, are here"),
            "{}",
            check.out
        );
    });
}

#[test]
fn without_privilege_nothing_can_be_tried() {
    sandbox(|| {
        let drop = ["--inh-caps=-all", "--bounding-set=-all", crate::sandbox::SVCNAT];
        let check = run("setpriv", &[&drop[..], &["check"]].concat(), "");
        assert_eq!((check.code, check.out.as_str()), (Some(4), ""));
        assert!(check.err.contains("CAP_NET_ADMIN"), "{}", check.err);
        let status = ["status", "--socket", "/nonexistent/socket"];
        let status = run("setpriv", &[&drop[..], &status].concat(), "");
        assert_eq!(status.code, Some(2), "{}", status.err);
        assert!(status.out.contains("not tried: it takes CAP_NET_ADMIN"), "{}", status.out);
    });
}

#[test]
fn without_an_agent_the_status_is_the_kernels_alone() {
    sandbox(|| {
        let status = svcnat(&["status", "--socket", "/nonexistent/socket"]);
        assert_eq!(status.code, Some(2));
        assert!(status.err.contains("no svcnat agent answers at /nonexistent/socket"), "{}", status.err);
        let lines: Vec<&str> = status.out.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("kernel:    Linux "), "{lines:?}");
        assert_eq!(lines[1], "features:  all there");
        let status = svcnat(&["status", "--socket", "/nonexistent/socket", "-o", "json"]);
        let report: Value = serde_json::from_str(&status.out).unwrap();
        assert_eq!((&report["agent"], &report["missing"]), (&Value::Null, &serde_json::json!([])));
    });
}
