//! The start, with nothing in the kernel and with what an earlier agent left.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;
use svcnat::netlink::{Netlink, Socket};
use svcnat_apiserver::{Failure, Fault, On, Resource, Times};
use svcnat_rules::installed::{InstalledTable, Owner};
use svcnat_rules::layout::{Slots, slots_in};

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, status};
use crate::agent_support::objects::{config, config_of, service, shop, slice};
use crate::agent_support::{holds, installed, must, on_node_a, run, tables};

/// With one list held back, nothing is in the kernel, however long the others have been there.
#[track_caller]
fn check_waits_for(resource: Resource, path: &str) {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let away = Fault::Status(Failure::ServiceUnavailable);
        cluster.server.fault(On::resource(resource), Times::Always, away);
        let agent = Agent::of(&cluster, &[]);
        let watched = [Resource::Services, Resource::EndpointSlices, Resource::Nodes, Resource::ServiceCidrs];
        agent.until("the other watches are open", || {
            let open = |other: &Resource| *other == resource || cluster.server.open_watches(*other) > 0;
            holds(watched.iter().all(open), "they are not")
        });
        agent.until("the list is refused twice", || {
            let requests = cluster.server.requests();
            holds(requests.iter().filter(|request| request.path == path).count() > 1, "it is not")
        });
        assert_eq!(must("nft", &["list", "ruleset"]), "", "{resource:?}");
        let statuses = ["/livez", "/readyz", "/healthz"].map(status);
        assert_eq!(statuses, [Some(200), Some(503), Some(503)], "{resource:?}");
        cluster.server.clear_faults();
        agent.until_ready();
        cluster.objects.compare(&config()).unwrap_or_else(|rest| panic!("{resource:?}: {rest}"));
        assert_eq!(["/livez", "/readyz", "/healthz"].map(status), [Some(200); 3], "{resource:?}");
        for listed in ["3 services", "2 endpointslices", "1 nodes", "1 servicecidrs"] {
            agent.until_logged(&format!("{listed} listed in "));
        }
    });
}

#[test]
fn nothing_is_programmed_before_the_services_are_complete() {
    check_waits_for(Resource::Services, "/api/v1/services");
}

#[test]
fn nothing_is_programmed_before_the_slices_are_complete() {
    check_waits_for(Resource::EndpointSlices, "/apis/discovery.k8s.io/v1/endpointslices");
}

#[test]
fn nothing_is_programmed_before_the_node_is_known() {
    check_waits_for(Resource::Nodes, "/api/v1/nodes");
}

#[test]
fn a_restart_with_an_unchanged_cluster_sends_nothing() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        Agent::settled(&cluster, &[]).stop();
        let (before, generation) = (tables(), installed().generation);
        let agent = Agent::settled(&cluster, &[]);
        assert_eq!(tables(), before, "rules keep their handles");
        let taken_over = u32::from(Netlink::<Socket>::can_own());
        assert_eq!(installed().generation, generation + taken_over, "{}", agent.log());
        assert_eq!(metric("svcnat_transactions_total"), 0.0, "{}", agent.log());
    });
}

#[test]
fn what_vanished_while_no_agent_ran_goes_and_the_rest_keeps_its_slots() {
    for layout in ["chains", "maps"] {
        on_node_a(|| {
            let flags = ["--layout", layout];
            let config = config_of(&flags);
            let mut cluster = Cluster::of(shop());
            cluster.apply(slice("api", &["10.244.0.3", "10.244.1.3", "10.244.1.4", "10.244.1.5"]));
            let agent = Agent::settled(&cluster, &flags);
            // Slots that no compile would choose by itself: the one that came last is where the first was.
            cluster.apply(slice("api", &["10.244.1.3", "10.244.1.4", "10.244.1.5", "10.244.1.6"]));
            agent.until_equal(&cluster.objects);
            agent.stop();
            let slots = slots_in(&installed());
            cluster.delete("web");
            cluster.apply(slice("api", &["10.244.1.3", "10.244.1.4", "10.244.1.7", "10.244.1.6"]));
            cluster.apply(service("new", 20, json!({})));
            let agent = Agent::of(&cluster, &flags);
            agent.until_ready();
            let kept = cluster.objects.compare_with(&installed(), &config, &slots);
            kept.unwrap_or_else(|rest| panic!("{layout}: {rest}\n{}", agent.log()));
            let anew = cluster.objects.compare_with(&installed(), &config, &Slots::default());
            assert!(anew.is_err(), "{layout}: a compile from nothing would have chosen the same slots");
        });
    }
}

#[test]
fn a_second_agent_says_that_there_is_one_and_ends() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let first = Agent::settled(&cluster, &[]);
        let second = Agent::of(&cluster, &[]);
        assert_eq!(second.ended(), Some(4), "{}", second.log());
        assert!(second.log().contains("another svcnat agent runs here already"), "{}", second.log());
        cluster.apply(slice("idle", &["10.244.0.9"]));
        first.until_equal(&cluster.objects);
        assert!(first.is_running());
        // In another network namespace there is another node.
        on_node_a(|| drop(Agent::settled(&Cluster::of(shop()), &[])));
    });
}

#[test]
fn a_start_that_is_told_nonsense_ends_with_a_word() {
    on_node_a(|| {
        let check = |arguments: &[&str], code: i32, message: &str| {
            let agent = Agent::start(arguments);
            assert_eq!(agent.ended(), Some(code), "{arguments:?}: {}", agent.log());
            assert!(agent.log().contains(message), "{arguments:?}: {}", agent.log());
        };
        check(&["--kubeconfig", "/nonexistent/kubeconfig"], 4, "/nonexistent/kubeconfig");
        check(&["--manifests", "-"], 4, "- cannot be followed: name files or folders");
        check(&["--config", "/nonexistent/config.yaml"], 2, "/nonexistent/config.yaml");
        check(&["--manifests", "/nonexistent/manifests"], 4, "/nonexistent/manifests");
        assert_eq!(String::from_utf8_lossy(&run("nft", &["list", "ruleset"]).stdout), "");
    });
}

/// Another program that changes tables of its own, hundreds of times a second, until this is dropped.
struct Neighbour(Child);

impl Neighbour {
    fn start() -> Self {
        let mut nft = Command::new("nft");
        let mut child = nft.arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = child.stdin.take().unwrap();
        // It ends with the pipe.
        thread::spawn(
            move || while lines.write_all(b"add table ip other\ndelete table ip other\n").is_ok() {},
        );
        Self(child)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_start_amid_changes_of_other_programs_forgets_nothing() {
    on_node_a(|| {
        let timeout =
            || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established").unwrap();
        assert_ne!(timeout(), "86400\n", "nothing to see");
        let cluster = large();
        let neighbour = Neighbour::start();
        let agent = Agent::of(&cluster, &["--own-tables", "never"]);
        // The first transaction meets another generation.
        agent.until_logged("tried again");
        drop(neighbour);
        agent.until_ready();
        agent.until_equal(&cluster.objects);
        agent.until("the settings of connection tracking", || holds(timeout() == "86400\n", timeout()));
    });
}

#[test]
fn a_start_does_not_wait_for_a_pause_of_other_programs() {
    on_node_a(|| {
        if !Netlink::<Socket>::can_own() {
            return;
        }
        let cluster = large();
        let neighbour = Neighbour::start();
        let agent = Agent::of(&cluster, &[]);
        agent.until_ready();
        drop(neighbour);
        agent.until_equal(&cluster.objects);
    });
}

/// A cluster so large that others come in between reading and writing.
fn large() -> Cluster {
    let mut cluster = Cluster::of(shop());
    for number in 0..200_u8 {
        cluster.apply(service(&format!("s-{number}"), 20 + number, json!({})));
        cluster.apply(slice(&format!("s-{number}"), &[&format!("10.244.7.{number}")]));
    }
    cluster
}

/// How often an agent starts amid changes of another program, each of which may come at another moment.
const STARTS: usize = 5;

#[test]
fn tables_are_taken_over_whatever_other_programs_change_meanwhile() {
    on_node_a(|| {
        if !Netlink::<Socket>::can_own() {
            return;
        }
        let cluster = Cluster::of(shop());
        Agent::settled(&cluster, &[]).stop();
        for _ in 0..STARTS {
            let neighbour = Neighbour::start();
            let agent = Agent::of(&cluster, &[]);
            thread::sleep(Duration::from_millis(300));
            drop(neighbour);
            agent.until_ready();
            let owned = |table: &InstalledTable| matches!(table.owner, Owner::Socket(_));
            assert!(installed().tables.values().all(owned), "{:?}\n{}", installed(), agent.log());
            agent.stop();
        }
    });
}
