//! `--help`, and exit codes as it documents them.

use std::fs::File;
use std::process::Command;

use clap::CommandFactory as _;
use svcnat::cli::Cli;

use crate::sandbox::{SVCNAT, folder, golden, sandbox, svcnat};

/// kube-proxy's options and our own, which documents and scripts name.
const RULE_OPTIONS: [&str; 13] = [
    "--filename",
    "--hostname-override",
    "--cluster-cidr",
    "--detect-local-mode",
    "--pod-bridge-interface",
    "--pod-interface-name-prefix",
    "--masquerade-all",
    "--masquerade-bit",
    "--nodeport-addresses",
    "--proxy-mode",
    "--layout",
    "--affinity-size",
    "--service-cluster-ip-range",
];

#[test]
fn every_command_explains_each_of_its_options() {
    let mut cli = Cli::command();
    cli.build();
    let mut commands = 0;
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        commands += 1;
        let help = svcnat(&[command.get_name(), "--help"]);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else { continue };
            assert!(help.out.contains(&format!("--{long}")), "{}: --{long}", command.get_name());
            assert!(argument.get_help().is_some(), "{}: --{long} is not explained", command.get_name());
        }
    }
    assert!(commands >= 3);
    for command in ["render", "apply"] {
        let help = svcnat(&[command, "--help"]).out;
        for option in RULE_OPTIONS {
            assert!(help.contains(option), "{command} {option}");
        }
    }
}

/// Runs the program and compares its exit code with the expected one, which `--help` must document.
#[track_caller]
fn check(arguments: &[&str], code: i32, complaint: &str) {
    let help = svcnat(&["--help"]).out;
    assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    let run = sandbox(|| svcnat(arguments));
    assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.err);
    assert!(run.err.contains(complaint), "{arguments:?}: {}", run.err);
    assert_eq!(run.out.is_empty(), code != 0, "{arguments:?}: {}", run.out);
}

#[test]
fn exit_codes_are_as_documented() {
    let web = golden("web");
    let web = web.to_str().unwrap();
    check(&["render", "-f", web], 0, "");
    check(&["apply", "-f", web], 0, "");
    check(&["cleanup"], 0, "");
    check(&["frobnicate"], 2, "unrecognized subcommand");
    check(&["render"], 2, "--filename");
    check(&["render", "-f", web, "--frobnicate"], 2, "--frobnicate");
    check(&["cleanup", "-f", web], 2, "-f");
    for (option, value, complaint) in [
        ("--cluster-cidr", "10.0.0.0", "--cluster-cidr"),
        ("--cluster-cidr", "10.0.0.0/33", "--cluster-cidr"),
        ("--masquerade-bit", "32", "0..=31"),
        ("--affinity-size", "0", "--affinity-size"),
        ("--detect-local-mode", "Magic", "ClusterCIDR"),
        ("--detect-local-mode", "BridgeInterface", "needs --pod-bridge-interface"),
        ("--detect-local-mode", "InterfaceNamePrefix", "needs --pod-interface-name-prefix"),
        ("--pod-bridge-interface", "an-interface-too-long", "15"),
        ("--pod-bridge-interface", "a\"b", "15"),
        ("--nodeport-addresses", "primary,10.0.0.0/8", "`primary` alone"),
        ("--nodeport-addresses", "10.0.0.1", "--nodeport-addresses"),
        ("--layout", "trees", "chains"),
        ("--proxy-mode", "ipvs", "nftables"),
        ("--hostname-override", " ", "the node's name is empty"),
    ] {
        check(&["render", "-f", web, option, value], 2, complaint);
    }
    check(&["render", "-f", "/nonexistent"], 3, "/nonexistent: cannot be read: No such file");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let mut command = Command::new(SVCNAT);
    command
        .args(["render", "-f", golden("web").to_str().unwrap()])
        .stdout(File::create("/dev/full").unwrap());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot write the output: No space left"), "{said}");
}

#[test]
fn what_is_passed_over_is_told_on_demand() {
    let headless =
        "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {clusterIP: None, ports: [{port: 1}]}}";
    let folder = folder(&[("x.yaml", headless)]);
    let path = folder.path().to_str().unwrap();
    assert_eq!(svcnat(&["render", "-f", path]).err, "");
    let told = svcnat(&["render", "-v", "-f", path]).err;
    assert!(told.contains("Service default/x: not programmed: headless"), "{told}");
    // On a terminal only.
    assert!(!told.contains('\u{1b}'), "{told:?}");
}
