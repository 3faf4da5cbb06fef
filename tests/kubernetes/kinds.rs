//! What is asked for, and what is told of each kind.

use serde_json::{Value, json};
use svcnat::kubernetes::Resource as Watched;
use svcnat_apiserver::{ApiServer, Failure, Fault, On, Options, Resource, Times};

use crate::agent::{Agent, node, populate, populated, service, slice};

fn endpoints(addresses: &[&str]) -> Value {
    let addresses: Vec<_> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
    json!({
        "kind": "Endpoints",
        "metadata": { "name": "a", "namespace": "shop" },
        "subsets": [{ "addresses": addresses, "ports": [{ "port": 8080 }] }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_those_of_a_polite_proxy() {
    let check = async |streaming: bool| {
        let server = ApiServer::start(&Options { streaming_lists: streaming, ..Options::default() }).unwrap();
        populate(&server);
        let mut agent = Agent::start(&server).await;
        agent.until_complete("requests").await;
        for watched in [Watched::Services, Watched::EndpointSlices, Watched::Node, Watched::ServiceCidrs] {
            agent.until_status(watched, |status| status.connected).await;
        }
        let requests = server.requests();
        let ours = "labelSelector=%21service.kubernetes.io%2Fheadless%2C%21service.kubernetes.io%2Fservice-proxy-name";
        for (path, selector) in [
            ("/api/v1/services", ours),
            ("/apis/discovery.k8s.io/v1/endpointslices", ours),
            ("/api/v1/nodes", "fieldSelector=metadata.name%3Dn1"),
            ("/apis/networking.k8s.io/v1/servicecidrs", ""),
        ] {
            let asked: Vec<_> = requests.iter().filter(|request| request.path == path).collect();
            for request in &asked {
                assert_eq!(request.user_agent, concat!("svcnat/", env!("CARGO_PKG_VERSION")));
                assert!(request.query.contains(selector), "{request:?}");
                assert!(!request.query.contains("limit="), "{request:?}");
            }
            let queries: Vec<_> = asked.iter().map(|request| request.query.as_str()).collect();
            let has = |query: &str, parts: &[&str]| parts.iter().all(|part| query.contains(part));
            let initial =
                ["watch=true", "sendInitialEvents=true", "allowWatchBookmarks=true", "resourceVersion=0"];
            match queries[..] {
                [one] if streaming => assert!(has(one, &initial), "{one}"),
                [first, list, watch] if !streaming => {
                    assert!(has(first, &initial), "{first}");
                    assert!(has(list, &["resourceVersion=0"]) && !list.contains("watch"), "{list}");
                    assert!(has(watch, &["watch=true", "allowWatchBookmarks=true"]), "{watch}");
                    assert!(!watch.contains("sendInitialEvents") && !watch.contains("resourceVersion=0"));
                }
                _ => panic!("{queries:#?}"),
            }
        }
        assert_eq!(agent.world, populated());
    };
    futures::future::join_all([false, true].map(check)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_make_an_object_somebody_elses_are_a_deletion() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("labels").await;
    let labelled = |mut object: Value, label: &str| {
        object["metadata"]["labels"][label] = "".into();
        object
    };
    server.apply(labelled(service("a", "10.96.0.1"), "service.kubernetes.io/service-proxy-name")).unwrap();
    server.apply(labelled(slice("a-1", "a", &["10.244.0.1"]), "service.kubernetes.io/headless")).unwrap();
    agent
        .until("labels", |world| {
            !world.services.contains_key("shop/a") && !world.slices.contains_key("shop/a-1")
        })
        .await;
    server.apply(service("a", "10.96.0.1")).unwrap();
    agent.until("labels", |world| world.services.contains_key("shop/a")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_decides_about_eligibility() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let mut agent = Agent::start(&server).await;
    agent.until_complete("node").await;
    assert_eq!((agent.world.eligible, &agent.world.node), (Some(false), &None), "there is no Node");
    let taint = json!({ "taints": [{ "key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule" }] });
    for (spec, expected) in [(json!({}), true), (taint, false), (json!({}), true)] {
        server.apply(node(&spec)).unwrap();
        agent.until("node", |world| world.eligible == Some(expected)).await;
    }
    let mut deleted = node(&json!({}));
    deleted["metadata"]["deletionTimestamp"] = "2026-11-22T21:40:26Z".into();
    server.apply(deleted).unwrap();
    agent.until("node", |world| world.eligible == Some(false) && world.node.is_some()).await;
    server.delete(Resource::Nodes, "", "n1").unwrap();
    agent.until("node", |world| world.node.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_cidrs_that_cannot_be_had_do_not_keep_the_start() {
    let check = async |forbidden: bool| {
        let server = ApiServer::start(&Options::default()).unwrap();
        populate(&server);
        if forbidden {
            let refusal = Fault::Status(Failure::Forbidden);
            server.fault(On::resource(Resource::ServiceCidrs), Times::Always, refusal);
        } else {
            server.set_served(Resource::ServiceCidrs, false);
        }
        let mut agent = Agent::start(&server).await;
        agent.until_complete("cidrs").await;
        assert_eq!(agent.world.cidrs, "");
        server.clear_faults();
        server.set_served(Resource::ServiceCidrs, true);
        agent.until("cidrs", |world| world.cidrs == "10.96.0.0/12").await;
        assert_eq!(agent.world, populated());
    };
    futures::future::join_all([false, true].map(check)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_stand_in_for_slices_until_those_are_served() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    server.set_served(Resource::EndpointSlices, false);
    server.apply(endpoints(&["10.244.0.1", "fd00::1"])).unwrap();
    let mut agent = Agent::start(&server).await;
    agent.until_complete("endpoints").await;
    let slices: Vec<_> =
        agent.world.slices.iter().map(|(name, addresses)| format!("{name} {addresses}")).collect();
    assert_eq!(slices, ["shop/a-endpoints-ipv4 10.244.0.1", "shop/a-endpoints-ipv6 fd00::1"]);
    server.apply(endpoints(&["10.244.0.2"])).unwrap();
    agent
        .until("endpoints", |world| {
            world.slices.len() == 1 && world.slices["shop/a-endpoints-ipv4"] == "10.244.0.2"
        })
        .await;
    server.set_served(Resource::EndpointSlices, true);
    agent.until("endpoints", |world| world.slices == populated().slices).await;
    assert_eq!(agent.world, populated());
    assert!(!agent.status(Watched::Endpoints).connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_object_costs_only_itself() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut malformed = service("b", "10.96.0.2");
    malformed["spec"]["ports"] = json!([{ "port": 80, "nodePort": "many" }]);
    server.apply(malformed.clone()).unwrap();
    let mut agent = Agent::start(&server).await;
    agent.until_complete("malformed").await;
    let services: Vec<_> = agent.world.services.keys().map(String::as_str).collect();
    assert_eq!(services, ["shop/a", "shop/c"]);
    server.apply(service("b", "10.96.0.5")).unwrap();
    agent.until("malformed", |world| world.services.contains_key("shop/b")).await;
    server.apply(malformed).unwrap();
    server.apply(service("d", "10.96.0.4")).unwrap();
    agent.until("malformed", |world| world.services.contains_key("shop/d")).await;
    assert!(!agent.world.services.contains_key("shop/b"), "it is gone as long as nobody understands it");
    let status = agent.status(Watched::Services);
    assert_eq!((status.malformed, status.objects, status.lists, status.errors), (2, 4, 1, 0));
}
