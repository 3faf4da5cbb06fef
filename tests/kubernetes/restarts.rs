//! Servers that go away and come back.

use std::collections::HashSet;

use svcnat::kubernetes::{Known, Resource as Watched};
use svcnat_apiserver::{ApiServer, Options, Resource};
use svcnat_rules::name::ObjectName;

use crate::agent::{Agent, populate, populated, service, slice};

fn start() -> ApiServer {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_nothing_is_told_and_what_is_gone_is_told_afterwards() {
    let check = async |compact: bool| {
        let what = format!("away, compacted {compact}");
        let server = start();
        let mut agent = Agent::start(&server).await;
        agent.until_complete(&what).await;
        let told = agent.log.len();
        server.leave();
        server.delete(Resource::Services, "shop", "b").unwrap();
        server.delete(Resource::EndpointSlices, "shop", "b-1").unwrap();
        server.apply(service("d", "10.96.0.4")).unwrap();
        if compact {
            server.compact();
        }
        for watched in [Watched::Services, Watched::EndpointSlices] {
            agent.until_status(watched, |status| !status.connected && status.errors >= 2).await;
        }
        assert_eq!(agent.log.len(), told, "{what}: {:?}", agent.log);
        server.come_back().unwrap();
        let mut expected = populated();
        expected.services.remove("shop/b");
        expected.slices.remove("shop/b-1");
        expected.services.insert("shop/d".to_owned(), "10.96.0.4".to_owned());
        agent.until(&what, |world| *world == expected).await;
        agent.until_status(Watched::Services, |status| status.connected).await;
        let lists = agent.status(Watched::Services).lists;
        assert_eq!(lists, if compact { 2 } else { 1 }, "{what}");
        assert_eq!(agent.count("shop/a 10.96.0.1"), 1, "{what}: what is the same is not told again");
        let asked = server.requests();
        let since_seen = asked.iter().any(|request| {
            let initial = request.query.contains("sendInitialEvents=true");
            request.path == "/api/v1/services" && initial && !request.query.contains("resourceVersion=0")
        });
        assert_eq!(since_seen, compact, "{what}: a second list is of nothing older than what was seen");
    };
    futures::future::join_all([false, true].map(check)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_set_up_anew_is_believed() {
    let server = start();
    for number in 0..50 {
        server.apply(slice("c-1", "c", &[&format!("10.244.1.{number}")])).unwrap();
    }
    let mut agent = Agent::start(&server).await;
    agent.until_complete("anew").await;
    // From here on, the server accepts watches from versions that are yet to come, and is silent on them.
    server.leave();
    server.forget();
    server.load([service("a", "10.96.0.7"), service("z", "10.96.0.26")]).unwrap();
    server.come_back().unwrap();
    agent
        .until("anew", |world| {
            let services: Vec<_> = world.services.keys().map(String::as_str).collect();
            services == ["shop/a", "shop/z"] && world.slices.is_empty() && world.eligible == Some(false)
        })
        .await;
    assert_eq!(agent.world.services["shop/a"], "10.96.0.7");
    assert_eq!(agent.world.node, None);
    server.apply(service("a", "10.96.0.8")).unwrap();
    agent.until("anew", |world| world.services["shop/a"] == "10.96.0.8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_loses_everything_is_noticed() {
    let server = start();
    let mut agent = Agent::start(&server).await;
    agent.until_complete("frozen").await;
    server.freeze(true);
    server.delete(Resource::Services, "shop", "b").unwrap();
    agent.until_status(Watched::Services, |status| !status.connected).await;
    server.freeze(false);
    agent.until("frozen", |world| !world.services.contains_key("shop/b")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_state_file_knew_and_is_gone_goes_with_the_first_lists() {
    let names = |names: [&str; 2]| -> HashSet<_> {
        names.into_iter().map(|name| ObjectName::new("shop", name)).collect()
    };
    let known = Known { services: names(["a", "old"]), slices: names(["a-1", "old-1"]) };
    let server = start();
    let mut agent = Agent::start_knowing(&server, known).await;
    agent.until_complete("known").await;
    assert_eq!(agent.world, populated());
    let gone: HashSet<_> =
        agent.log.iter().filter(|line| line.ends_with(" gone")).map(String::as_str).collect();
    assert_eq!(gone, HashSet::from(["shop/old gone", "shop/old-1 gone"]));
    assert_eq!(agent.log.last().unwrap(), "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_source_ends_its_watches() {
    let server = start();
    let mut agent = Agent::start(&server).await;
    agent.until_complete("dropped").await;
    let all = [Resource::Services, Resource::EndpointSlices, Resource::Nodes, Resource::ServiceCidrs];
    let open = |server: &ApiServer| all.map(|resource| server.open_watches(resource));
    let wait = |server: &ApiServer, expected: [usize; 4]| {
        server.wait_until(std::time::Duration::from_secs(20), |server| open(server) == expected)
    };
    assert!(wait(&server, [1; 4]), "{:?}", open(&server));
    agent.stop();
    assert!(wait(&server, [0; 4]), "{:?}", open(&server));
}
