//! `render`, `apply` and `cleanup` with manifests as they should be.

use std::fs;
use std::process::{Command, Stdio};

use similar::TextDiff;

use crate::sandbox::{SVCNAT, folder, golden, listing, nft, on_node_a, run, sandbox};

/// Cases with all kinds of sets and chains, in both families; nft 1.0.6 can parse their scripts.
const CASES: [&str; 4] =
    ["protocols-dual-stack", "affinity", "external-policy-local", "source-ranges-dual-stack"];

/// A table of somebody else's with a bit of everything.
const OTHERS: &str = "
table ip filter {
	set blocked {
		type ipv4_addr
		elements = { 192.0.2.1 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		ip saddr @blocked counter drop
		accept
	}
	chain services {
		jump frontends
	}
	chain frontends {
	}
}
table ip6 svcnat2 {
	chain services {
	}
}
table inet svcnat {
	chain services {
	}
}
";

#[test]
fn a_second_time_nothing_changes() {
    for case in CASES {
        sandbox(|| {
            assert_ne!(on_node_a("apply", &golden(case), &[]), "unchanged\n", "{case}");
            let before = listing();
            assert_eq!(on_node_a("apply", &golden(case), &[]), "unchanged\n", "{case}");
            assert_eq!(listing(), before);
        });
    }
}

#[test]
fn the_order_of_objects_does_not_matter() {
    let web = golden("web");
    let read = |name: &str| fs::read_to_string(web.join(name)).unwrap();
    let pods = read("pods.yaml");
    let mut reversed: Vec<&str> = pods.split("---\n").collect();
    reversed.reverse();
    let backwards = [&reversed[..], &[&read("service.yaml"), &read("nodes.yaml")]].concat().join("\n---\n");
    let folder = folder(&[("all.yaml", &backwards)]);
    sandbox(|| {
        on_node_a("apply", &web, &[]);
        assert_eq!(on_node_a("apply", folder.path(), &[]), "unchanged\n");
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    let (web, next) = (golden("web"), golden("web").join("next"));
    sandbox(|| {
        let said = on_node_a("apply", &web, &["--dry-run"]);
        assert!(said.starts_with("tables +1") && said.ends_with(" (dry run)\n"), "{said}");
        assert_eq!(listing(), "");
        on_node_a("apply", &web, &[]);
        let before = listing();
        let script = on_node_a("apply", &next, &["--dry-run", "-o", "nft"]);
        assert!(script.contains("\nreplace rule ip svcnat service-default/web/http"), "{script}");
        assert_eq!(listing(), before);
    });
}

#[test]
fn printed_transactions_lead_where_sent_ones_do() {
    for case in CASES {
        let (first, next) = (golden(case), golden(case).join("next"));
        let steps = if next.exists() { vec![first, next] } else { vec![first] };
        let sent = sandbox(|| {
            for step in &steps {
                on_node_a("apply", step, &[]);
            }
            listing()
        });
        sandbox(|| {
            for step in &steps {
                let script = on_node_a("apply", step, &["--dry-run", "--output", "nft"]);
                nft(&["-f", "-"], &script);
                assert_eq!(on_node_a("apply", step, &[]), "unchanged\n", "{case}: {script}");
            }
            let listing = listing();
            let difference = TextDiff::from_lines(&sent, &listing).unified_diff().to_string();
            assert!(listing == sent, "{case}\n{difference}");
        });
    }
}

#[test]
fn a_rendered_script_is_what_apply_makes() {
    for case in CASES {
        sandbox(|| {
            nft(&["-f", "-"], &on_node_a("render", &golden(case), &[]));
            assert_eq!(on_node_a("apply", &golden(case), &[]), "unchanged\n", "{case}");
        });
    }
}

#[test]
fn tables_of_others_are_left_alone() {
    sandbox(|| {
        nft(&["-f", "-"], OTHERS);
        let before = listing();
        on_node_a("apply", &golden("protocols-dual-stack"), &[]);
        let with_ours = listing();
        assert!(with_ours.starts_with(&before) && with_ours != before, "{with_ours}");
        on_node_a("apply", &golden("web"), &[]);
        assert!(listing().starts_with(&before));
        let cleanup = run(SVCNAT, &["cleanup"], "");
        assert_eq!((cleanup.code, cleanup.out.as_str()), (Some(0), "tables -1\n"), "{}", cleanup.err);
        assert_eq!(listing(), before);
        let again = run(SVCNAT, &["cleanup"], "");
        assert_eq!((again.code, again.out.as_str()), (Some(0), "unchanged\n"), "{}", again.err);
    });
}

#[test]
fn cleanup_removes_both_tables() {
    sandbox(|| {
        on_node_a("apply", &golden("protocols-dual-stack"), &[]);
        let before = listing();
        assert_eq!(run(SVCNAT, &["cleanup", "--dry-run"], "").out, "tables -2 (dry run)\n");
        assert_eq!(listing(), before);
        let cleanup = run(SVCNAT, &["cleanup"], "");
        assert_eq!((cleanup.code, cleanup.out.as_str()), (Some(0), "tables -2\n"), "{}", cleanup.err);
        assert_eq!(listing(), "");
    });
}

#[test]
fn manifests_come_by_standard_input_too() {
    let web = golden("web");
    let all: Vec<String> = ["nodes.yaml", "service.yaml", "pods.yaml"]
        .map(|name| fs::read_to_string(web.join(name)).unwrap())
        .into();
    let from_folder = on_node_a("render", &web, &[]);
    let arguments = ["render", "-f", "-", "--hostname-override", "node-a", "--cluster-cidr"];
    let arguments = [&arguments[..], &["10.244.0.0/16,fd00:10:244::/48"]].concat();
    let found = run(SVCNAT, &arguments, &all.join("\n---\n"));
    assert_eq!((found.code, found.out), (Some(0), from_folder), "{}", found.err);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(SVCNAT);
    command.args(["render", "-f", golden("web").to_str().unwrap()]).stdout(writer).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
