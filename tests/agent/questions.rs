//! What the agent answers on its socket, and what commands make of it.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use svcnat_apiserver::{Failure, Fault, On, Resource, Times};

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::metric;
use crate::agent_support::objects::{node, node_port, service, shop, slice};
use crate::agent_support::{PATIENCE, holds, installed, must, on_node_a, run};

/// `svcnat COMMAND --socket SOCKET`: exit code, standard output, standard error.
fn ask(socket: &Path, command: &str) -> (Option<i32>, String, String) {
    ask_in_words(socket, &command.split_whitespace().collect::<Vec<_>>())
}

/// The same of words that may have blanks.
fn ask_in_words(socket: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let output = run(SVCNAT, &[words, &["--socket", socket.to_str().unwrap()]].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What a command prints that goes well.
#[track_caller]
fn answer(agent: &Agent, command: &str) -> String {
    let (code, out, err) = ask(&agent.socket(), command);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{command}: {}", agent.log());
    out
}

#[track_caller]
fn json_of(agent: &Agent, command: &str) -> Value {
    serde_json::from_str(&answer(agent, &format!("{command} -o json"))).unwrap()
}

/// The lines of a table, with one blank between columns and without ages.
fn lines(table: &str) -> Vec<String> {
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let without_age = |line: &str| match squeezed(line).rsplit_once(' ') {
        Some((rest, _)) => rest.to_owned(),
        None => String::new(),
    };
    table.lines().map(without_age).collect()
}

#[test]
fn services_and_backends_are_those_of_the_cluster() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        assert_eq!(
            lines(&answer(&agent, "services -A")),
            [
                "NAMESPACE NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) READY LOCAL TOTAL POLICY AFFINITY CONFLICTS",
                "shop api ClusterIP 10.96.0.11 <none> 80/TCP 3 1 3 Cluster <none> 0",
                "shop idle ClusterIP 10.96.0.12 <none> 80/TCP 0 0 0 Cluster <none> 0",
                "shop web NodePort 10.96.0.10 <none> 80:30080/TCP 2 1 2 Cluster <none> 0",
            ]
        );
        assert_eq!(
            answer(&agent, "backends shop/web"),
            "PORT       ADDRESS           POD   NODE     ZONE   CONDITIONS   INTERNAL     EXTERNAL     LOCAL\n\
             http/TCP   10.244.0.2:8080   -     node-a   -      ready        yes: ready   yes: ready   yes: ready\n\
             http/TCP   10.244.1.2:8080   -     node-b   -      ready        yes: ready   yes: ready   yes: ready\n"
        );
        // The same as of manifests.
        let folder = tempfile::tempdir().unwrap();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": shop() });
        fs::write(folder.path().join("shop.json"), list.to_string()).unwrap();
        let folder = folder.path().to_str().unwrap();
        let of_manifests = |command: &str| {
            let words = command.split_whitespace().chain(["-o", "json", "-f", folder]);
            let words = words.chain(["--hostname-override", "node-a"]).collect::<Vec<_>>();
            serde_json::from_str::<Value>(&must(SVCNAT, &words)).unwrap()
        };
        for command in ["services -n shop", "backends api -n shop", "backends shop/idle"] {
            assert_eq!(json_of(&agent, command), of_manifests(command), "{command}");
        }
        // What is different is seen at once; the younger of two does not get the node port.
        cluster.apply(service("rival", 50, node_port(30_080)));
        cluster.apply(slice("web", &["10.244.0.2"]));
        agent.until_equal(&cluster.objects);
        let services = json_of(&agent, "services -n shop");
        let of = |name: &str| {
            services["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()
        };
        assert_eq!(of("web")["backends"], json!({ "ready": 1, "local": 1, "total": 1 }));
        assert_eq!(of("web")["conflicts"], json!([]));
        let lost = json!([{ "frontend": "node port 30080", "protocol": "TCP", "port": "http", "winner": "shop/web/http" }]);
        assert_eq!(of("rival")["conflicts"], lost);
        // Nothing is found in another namespace, and a Service that is not there is an error.
        assert_eq!(json_of(&agent, "services -n other")["items"], json!([]));
        let (code, out, err) = ask(&agent.socket(), "backends shop/other");
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(err.contains("no Service shop/other wants rules"), "{err}");
    });
}

#[test]
fn more_services_than_are_asked_for_at_once_are_all_told() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        for number in 0..150_u8 {
            cluster.apply(service(&format!("s-{number}"), 100 + number, json!({})));
        }
        let agent = Agent::settled(&cluster, &[]);
        let services = json_of(&agent, "services -A");
        let names: Vec<&str> =
            services["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 153, "{names:?}");
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(json_of(&agent, "services -n shop"), services);
        for other in ["shop-eu", "sho", "a", "zoo"] {
            assert_eq!(json_of(&agent, &format!("services -n {other}"))["items"], json!([]), "{other}");
        }
    });
}

/// A Service with labels.
fn labelled(name: &str, number: u8, labels: Value) -> Value {
    let mut service = service(name, number, json!({}));
    service["metadata"]["labels"] = labels;
    service
}

#[test]
fn services_are_selected_by_their_labels() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        cluster.apply(labelled("api", 11, json!({ "app": "api", "tier": "back" })));
        cluster.apply(labelled(
            "other",
            13,
            json!({ "app": "other", "tier": "front", "example.com/env": "" }),
        ));
        let agent = Agent::settled(&cluster, &[]);
        let socket = agent.socket();
        let ask = |selector: &str| ask_in_words(&socket, &["services", "-A", "-o", "name", "-l", selector]);
        let names = |selector: &str| {
            let (code, out, err) = ask(selector);
            assert_eq!((code, err.as_str()), (Some(0), ""), "{selector}");
            out.replace("service/", "").lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (selector, expected) in [
            ("tier", &["api", "other"][..]),
            ("tier=back", &["api"]),
            ("tier in (front, back),app!=api", &["other"]),
            ("example.com/env=", &["other"]),
            ("!app", &["idle", "web"]),
        ] {
            assert_eq!(names(selector), expected, "{selector}");
        }
        let (code, out, err) = ask("app=nobody");
        assert_eq!((code, out.as_str()), (Some(0), ""));
        assert!(err.contains("there are no Services that want rules and have such labels"), "{err}");
        let services = json_of(&agent, "services -n shop -l app=other");
        assert_eq!(
            services["items"][0]["labels"],
            json!({ "app": "other", "example.com/env": "", "tier": "front" })
        );
        // Whoever speaks to the socket without the command line is told what is wrong.
        let mut stream = UnixStream::connect(&socket).unwrap();
        let question =
            "GET /v1/services?labelSelector=app%3D( HTTP/1.1\r\nHost: svcnat\r\nConnection: close\r\n\r\n";
        stream.write_all(question.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("\"labelSelector: "), "{said}");
    });
}

/// `svcnat services --watch` until it is dropped.
struct Watch {
    child: Child,
    events: Receiver<Value>,
}

impl Watch {
    fn start(agent: &Agent) -> Self {
        Self::start_with(agent, &[])
    }

    /// With more flags.
    fn start_with(agent: &Agent, flags: &[&str]) -> Self {
        let mut command = Command::new(SVCNAT);
        command.args(["services", "-A", "--watch", "-o", "json", "--socket"]).arg(agent.socket()).args(flags);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                drop(sender.send(serde_json::from_str(&line).unwrap()));
            }
        });
        Self { child, events }
    }

    /// The next event's type and Service.
    #[track_caller]
    fn next(&self) -> (String, Value) {
        let mut event = self.events.recv_timeout(PATIENCE).expect("an event");
        (event["type"].as_str().unwrap().to_owned(), event["object"].take())
    }

    #[track_caller]
    fn expect(&self, change: &str, name: &str) -> Value {
        let (found, object) = self.next();
        assert_eq!((found.as_str(), object["name"].as_str().unwrap_or_default()), (change, name), "{object}");
        object
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn whoever_watches_is_told_of_every_change() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let watch = Watch::start(&agent);
        for name in ["api", "idle", "web"] {
            watch.expect("ADDED", name);
        }
        watch.expect("SYNCED", "");
        cluster.apply(slice("idle", &["10.244.0.9"]));
        let idle = watch.expect("MODIFIED", "idle");
        assert_eq!(idle["backends"], json!({ "ready": 1, "local": 1, "total": 1 }));
        cluster.apply(service("rival", 50, node_port(30_080)));
        assert_eq!(watch.expect("ADDED", "rival")["conflicts"][0]["winner"], "shop/web/http");
        // Its own objects stay as they are; what it has changes.
        cluster.apply(service("web", 10, json!({})));
        let mut next = [watch.next(), watch.next()];
        next.sort_by_key(|(_, object)| object["name"].to_string());
        let [(_, rival), (_, web)] = &next;
        assert_eq!((&rival["name"], &rival["conflicts"]), (&json!("rival"), &json!([])));
        assert_eq!((&web["name"], &web["type"]), (&json!("web"), &json!("ClusterIP")));
        cluster.delete("idle");
        assert_eq!(watch.expect("DELETED", "idle")["namespace"], "shop");
    });
}

#[test]
fn labels_that_change_are_told_to_whoever_watches_and_to_no_kernel() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        cluster.apply(labelled("api", 11, json!({ "tier": "back" })));
        let agent = Agent::settled(&cluster, &["--own-tables", "never"]);
        let (all, back) = (Watch::start(&agent), Watch::start_with(&agent, &["-l", "tier=back"]));
        for name in ["api", "idle", "web"] {
            all.expect("ADDED", name);
        }
        all.expect("SYNCED", "");
        back.expect("ADDED", "api");
        back.expect("SYNCED", "");
        let generation = installed().generation;
        let transactions = metric("svcnat_transactions_total");
        cluster.apply(labelled("idle", 12, json!({ "tier": "back" })));
        assert_eq!(all.expect("MODIFIED", "idle")["labels"], json!({ "tier": "back" }));
        back.expect("ADDED", "idle");
        cluster.apply(labelled("api", 11, json!({ "tier": "front" })));
        assert_eq!(all.expect("MODIFIED", "api")["labels"], json!({ "tier": "front" }));
        // As it was last for whoever watches these.
        assert_eq!(back.expect("DELETED", "api")["labels"], json!({ "tier": "back" }));
        cluster.apply(labelled("api", 11, json!({ "tier": "front", "app": "api" })));
        all.expect("MODIFIED", "api");
        assert_eq!(installed().generation, generation);
        assert_eq!(metric("svcnat_transactions_total"), transactions);
        // Nothing of that was told here: the next is this.
        cluster.delete("idle");
        back.expect("DELETED", "idle");
    });
}

#[test]
fn who_loses_a_frontend_to_an_older_service_is_told_to_whoever_watches() {
    on_node_a(|| {
        let mut cluster = Cluster::of([node(&["192.168.1.2"]), service("young", 50, node_port(30_081))]);
        let agent = Agent::settled(&cluster, &[]);
        let watch = Watch::start(&agent);
        watch.expect("ADDED", "young");
        watch.expect("SYNCED", "");
        cluster.apply(service("old", 10, node_port(30_081)));
        watch.expect("ADDED", "old");
        assert_eq!(watch.expect("MODIFIED", "young")["conflicts"][0]["winner"], "shop/old/http");
        cluster.delete_one(Resource::Services, "old");
        let mut next = [watch.next(), watch.next()];
        next.sort_by_key(|(change, _)| change.clone());
        let [(deleted, old), (modified, young)] = &next;
        assert_eq!((deleted.as_str(), &old["name"]), ("DELETED", &json!("old")));
        assert_eq!((modified.as_str(), &young["conflicts"]), ("MODIFIED", &json!([])));
    });
}

#[test]
fn the_status_follows_what_happens() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let away = Fault::Status(Failure::ServiceUnavailable);
        cluster.server.fault(On::resource(Resource::Services), Times::Always, away);
        let agent = Agent::of(&cluster, &["--own-tables", "never"]);
        agent.until("it answers", || holds(agent.socket().exists(), "no socket"));
        let status = |code: i32| -> Value {
            let (found, out, err) = ask(&agent.socket(), "status -o json");
            assert_eq!((found, err.as_str()), (Some(code), ""), "{out}");
            serde_json::from_str(&out).unwrap()
        };
        let waiting = status(1);
        assert_eq!(waiting["agent"]["state"], "waiting");
        assert_eq!(
            (&waiting["agent"]["lastSync"], &waiting["agent"]["counts"]),
            (&Value::Null, &Value::Null)
        );
        let (code, _, err) = ask(&agent.socket(), "services -A");
        assert_eq!(code, Some(4));
        assert!(err.contains("not all that exists in the cluster is known yet"), "{err}");
        cluster.server.clear_faults();
        agent.until_ready();
        let good = status(0);
        let agents = &good["agent"];
        assert_eq!(agents["state"], "in-step");
        assert_eq!(agents["counts"], json!({ "services": 3, "frontends": 4, "backends": 5, "conflicts": 0 }));
        let told = ["node", "source", "mode", "layout"].map(|key| agents[key].as_str().unwrap());
        assert_eq!(told, ["node-a", "kubernetes", "nftables", "chains"]);
        assert_eq!(agents["ownsTables"], false);
        assert_eq!(agents["lastSync"]["full"], true);
        assert_eq!(good["missing"], json!([]));
        cluster.apply(slice("idle", &["10.244.0.9"]));
        agent.until_equal(&cluster.objects);
        let changed = status(0);
        assert_eq!(changed["agent"]["lastSync"]["full"], false);
        assert!(changed["agent"]["lastSync"]["operations"].as_u64() > Some(0), "{changed}");
        must("nft", &["flush", "ruleset"]);
        agent.until_equal(&cluster.objects);
        agent.until("the repair is counted", || {
            let repairs = &status(0)["agent"]["repairs"];
            holds(repairs["changedByOthers"].as_u64() >= Some(1), repairs.to_string())
        });
        let text = answer(&agent, "status");
        for expected in
            ["in step", "svcnat 0.1.0 on node-a", "nftables, layout chains", "3 Services", "all there"]
        {
            assert!(text.contains(expected), "{text}");
        }
    });
}

#[test]
fn only_root_may_ask_and_the_file_says_so() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        let socket = agent.socket();
        let metadata = fs::metadata(&socket).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        // Inside of a user namespace there may be no other user.
        if !fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("svcnat");
        fs::copy(SVCNAT, &program).unwrap();
        let ask = || {
            let program = program.to_str().unwrap();
            let others = ["--reuid=65534", "--clear-groups", program, "services", "-A", "--socket"];
            let output = run("setpriv", &[&others[..], &[socket.to_str().unwrap()]].concat());
            assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
            String::from_utf8(output.stderr).unwrap()
        };
        let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        open(folder.path(), 0o755);
        open(socket.parent().unwrap(), 0o755);
        assert!(ask().contains("not permitted"), "the file keeps others out");
        // So does the agent, whatever becomes of the file.
        open(&socket, 0o666);
        assert!(ask().contains("does not answer as expected"), "the agent keeps others out");
        agent.until_logged("was refused an answer");
        answer(&agent, "services -A");
    });
}

#[test]
fn the_socket_of_an_agent_that_was_killed_is_replaced_and_goes_with_the_next() {
    on_node_a(|| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("made/for/it/agent.sock");
        let cluster = Cluster::of(shop());
        let flags = ["--socket", socket.to_str().unwrap()];
        Agent::settled(&cluster, &flags).kill();
        assert!(socket.exists());
        assert_eq!(ask(&socket, "status").0, Some(2));
        let agent = Agent::settled(&cluster, &flags);
        assert_eq!(ask(&socket, "status").0, Some(0), "{}", agent.log());
        // One in another network namespace finds it taken, and does its work without.
        on_node_a(|| {
            let other = Agent::settled(&Cluster::of(shop()), &flags);
            assert!(other.log().contains("no questions are answered"), "{}", other.log());
        });
        assert_eq!(ask(&socket, "status").0, Some(0), "{}", agent.log());
        agent.stop();
        assert!(!socket.exists());
    });
}

#[test]
fn an_agent_without_a_socket_answers_nobody() {
    on_node_a(|| {
        let agent = Agent::settled(&Cluster::of(shop()), &["--socket", ""]);
        let (code, _, err) = ask(&agent.socket(), "status");
        assert_eq!(code, Some(2), "{err}");
        assert!(agent.is_running(), "{}", agent.log());
    });
}
