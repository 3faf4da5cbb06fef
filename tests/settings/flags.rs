//! The flags of the agent.

use std::{fs, thread};

use clap::{Args as _, Command, Parser as _};
use nix::sched::{CloneFlags, unshare};
use svcnat::cli::{AgentFlags, Start};

use crate::cases::Agent;

/// Every flag of kube-proxy 1.36 (`cmd/kube-proxy/app/options.go`, `component-base/logs`).
const KUBE_PROXY: &str = "bind-address bind-address-hard-fail cleanup cluster-cidr config config-sync-period \
    conntrack-max-per-core conntrack-min conntrack-tcp-be-liberal conntrack-tcp-timeout-close-wait \
    conntrack-tcp-timeout-established conntrack-udp-timeout conntrack-udp-timeout-stream detect-local-mode feature-gates \
    healthz-bind-address healthz-port hostname-override init-only iptables-localhost-nodeports iptables-masquerade-bit \
    iptables-min-sync-period iptables-sync-period ipvs-exclude-cidrs ipvs-min-sync-period ipvs-scheduler ipvs-strict-arp \
    ipvs-sync-period ipvs-tcp-timeout ipvs-tcpfin-timeout ipvs-udp-timeout kube-api-burst kube-api-content-type \
    kube-api-qps kubeconfig log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size \
    log-text-split-stream logging-format masquerade-all master metrics-bind-address metrics-port nodeport-addresses \
    oom-score-adj pod-bridge-interface pod-interface-name-prefix profiling proxy-mode show-hidden-metrics-for-version v \
    vmodule write-config-to";

fn known() -> Vec<String> {
    let command = AgentFlags::augment_args(Command::new("agent"));
    let names = command
        .get_arguments()
        .flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default());
    names.map(str::to_owned).collect()
}

#[test]
fn every_flag_of_kube_proxy_is_accepted() {
    let known = known();
    for flag in KUBE_PROXY.split_whitespace() {
        assert!(known.iter().any(|name| name == flag), "--{flag}");
    }
}

#[test]
fn every_flag_that_errors_and_notes_name_exists() {
    let known = known();
    for flag in svcnat::settings::flags() {
        assert!(known.iter().any(|name| name == flag), "--{flag}");
    }
}

/// Starts with these flags; what is started, or the complaint.
fn start(arguments: &[&str]) -> Result<Start, String> {
    let arguments = ["agent"].iter().chain(arguments);
    Agent::try_parse_from(arguments).unwrap().flags.start().map_err(|failure| failure.to_string())
}

#[test]
fn the_configuration_is_written_and_nothing_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let file = path.to_str().unwrap();
    let started = start(&["--hostname-override=n", "--layout=maps", "--write-config-to", file]);
    assert!(matches!(started, Ok(Start::Done)), "{started:?}");
    let Ok(Start::Run(settings)) = start(&["--config", file]) else { panic!("not started") };
    let Ok(Start::Run(same)) = start(&["--hostname-override=n", "--layout=maps"]) else {
        panic!("not started")
    };
    assert_eq!(settings, same);
    let unwritable = start(&["--hostname-override=n", "--write-config-to=/nonexistent/config.yaml"]);
    assert!(unwritable.unwrap_err().contains("/nonexistent/config.yaml: No such file"));
}

#[test]
fn what_cannot_be_read_says_so() {
    let complaint = start(&["--config=/nonexistent/config.yaml"]).unwrap_err();
    assert_eq!(complaint, "/nonexistent/config.yaml: cannot be read: No such file or directory (os error 2)");
    let endless = start(&["--config=/dev/zero"]).unwrap_err();
    assert_eq!(endless, "/dev/zero: larger than 1 MiB: is it a configuration file?");
    let binary = start(&["--config", env!("CARGO_BIN_EXE_svcnat")]).unwrap_err();
    assert!(binary.contains("larger than 1 MiB"), "{binary}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin-1.yaml");
    fs::write(&path, b"mode: caf\xe9\n").unwrap();
    assert!(start(&["--config", path.to_str().unwrap()]).unwrap_err().ends_with("not UTF-8 text"));
}

#[test]
fn cleanup_names_the_command_that_does_it() {
    assert!(start(&["--cleanup"]).unwrap_err().contains("`svcnat cleanup`"));
    assert!(matches!(start(&["--cleanup=false", "--hostname-override=n"]), Ok(Start::Run(_))));
}

#[test]
fn init_only_sets_sysctls_and_starts_nothing() {
    let seconds = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let flags = ["--init-only", "--hostname-override=n", "--conntrack-tcp-timeout-established=4003s"];
        assert!(matches!(start(&[&flags[..], &["--conntrack-max-per-core=0"]].concat()), Ok(Start::Done)));
        fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established").unwrap()
    });
    assert_eq!(seconds.join().unwrap().trim(), "4003");
}
