//! What the `kube` crate makes of the server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, ready, select};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Node, ObjectReference, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::runtime::events::{Event as Note, EventType, Recorder};
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use support::{QUIET, SOON, client, service, until};
use svcnat_apiserver::synthetic::{self, Cluster};
use svcnat_apiserver::{ApiServer, Failure, Fault, On, Options, Resource, Times, Transport, Verb};

/// What a watcher tells, in short: `init`, `+a` (while it lists), `done`, `a`, `-a`, `error`.
fn short(event: Result<Event<Service>, watcher::Error>) -> String {
    match event {
        Ok(Event::Init) => "init".to_owned(),
        Ok(Event::InitApply(object)) => format!("+{}", object.name_any()),
        Ok(Event::InitDone) => "done".to_owned(),
        Ok(Event::Apply(object)) => object.name_any(),
        Ok(Event::Delete(object)) => format!("-{}", object.name_any()),
        Err(_) => "error".to_owned(),
    }
}

async fn expect(watch: &mut (impl Stream<Item = String> + Unpin), expected: &[&str]) {
    for expected in expected {
        let told = tokio::time::timeout(SOON, watch.next()).await.expect(expected);
        assert_eq!(told.as_deref(), Some(*expected));
    }
}

async fn expect_nothing(watch: &mut (impl Stream<Item = String> + Unpin)) {
    if let Ok(told) = tokio::time::timeout(QUIET, watch.next()).await {
        panic!("told of {told:?}");
    }
}

/// Lets a watcher that has listed begin to watch.
async fn open(server: &ApiServer, watch: &mut (impl Stream<Item = String> + Unpin)) {
    match select(watch.next(), pin!(until(|| server.open_watches(Resource::Services) == 1))).await {
        Either::Left((told, _)) => panic!("told of {told:?}"),
        Either::Right(((), _)) => {}
    }
}

fn services(client: &Client, config: Config) -> impl Stream<Item = String> + Unpin + use<> {
    watcher(Api::<Service>::all(client.clone()), config).map(short).boxed()
}

async fn follow(options: &Options, config: Config) {
    let server = ApiServer::start(options).unwrap();
    for name in ["a", "b", "c"] {
        server.apply(service(name)).unwrap();
    }
    let mut watch = services(&client(&server).await, config);
    expect(&mut watch, &["init", "+a", "+b", "+c", "done"]).await;
    expect_nothing(&mut watch).await;
    server.apply(service("d")).unwrap();
    server.apply(service("a")).unwrap();
    server.delete(Resource::Services, "shop", "b").unwrap();
    // Of another resource, so nothing to tell.
    server.apply(synthetic::node(0)).unwrap();
    server.bookmark(Resource::Services);
    expect(&mut watch, &["d", "a", "-b"]).await;
    expect_nothing(&mut watch).await;
    assert_eq!(server.open_watches(Resource::Services), 1);
    drop(watch);
    until(|| server.open_watches(Resource::Services) == 0).await;
}

#[tokio::test]
async fn a_watcher_lists_and_follows() {
    let tls = |alpn: &[&str]| Options {
        transport: Transport::Tls { alpn: alpn.iter().map(|protocol| (*protocol).to_owned()).collect() },
        ..Options::default()
    };
    let plain = Options { transport: Transport::Plain, ..Options::default() };
    for options in [tls(&["http/1.1"]), tls(&[]), plain] {
        follow(&options, Config::default().streaming_lists()).await;
    }
    let from_cache = Config { page_size: None, ..Config::default().any_semantic() };
    for config in
        [Config::default().streaming_lists(), Config::default(), Config::default().page_size(2), from_cache]
    {
        follow(&Options::default(), config).await;
    }
}

#[tokio::test]
async fn a_watcher_hears_only_of_what_it_selects() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let labelled = |name: &str, label: &str| {
        let mut service = service(name);
        service["metadata"]["labels"] = json!({ label: "" });
        service
    };
    server.apply(service("a")).unwrap();
    server.apply(labelled("b", "service.kubernetes.io/headless")).unwrap();
    let config =
        Config::default().labels("!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name");
    let client = client(&server).await;
    for config in [config.clone(), config.streaming_lists()] {
        let mut watch = services(&client, config);
        expect(&mut watch, &["init", "+a", "done"]).await;
        server.apply(labelled("a", "service.kubernetes.io/service-proxy-name")).unwrap();
        expect(&mut watch, &["-a"]).await;
        server.apply(labelled("a", "service.kubernetes.io/service-proxy-name")).unwrap();
        server.apply(service("a")).unwrap();
        expect(&mut watch, &["a"]).await;
    }
    server.apply(synthetic::node(1)).unwrap();
    server.apply(synthetic::node(2)).unwrap();
    let nodes =
        Api::<Node>::all(client).list(&ListParams::default().fields("metadata.name=node-2")).await.unwrap();
    assert_eq!(nodes.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["node-2"]);
}

#[tokio::test]
async fn what_is_too_old_is_listed_anew() {
    let server = ApiServer::start(&Options::default()).unwrap();
    server.apply(service("a")).unwrap();
    let mut watch = services(&client(&server).await, Config::default());
    expect(&mut watch, &["init", "+a", "done"]).await;
    // While it is away, what it knows goes too old.
    open(&server, &mut watch).await;
    server.leave();
    server.delete(Resource::Services, "shop", "a").unwrap();
    server.apply(service("b")).unwrap();
    server.compact();
    expect(&mut watch, &["error"]).await;
    server.come_back().unwrap();
    let told: Vec<String> = watch.take_while(|told| ready(told != "done")).collect().await;
    let known: Vec<&str> = told.iter().map(String::as_str).filter(|told| *told != "error").collect();
    assert_eq!(known, ["init", "+b"]);
}

#[tokio::test]
async fn a_server_that_forgot_everything_begins_anew() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let first = server.apply(service("a")).unwrap();
    let mut watch = services(&client(&server).await, Config::default());
    expect(&mut watch, &["init", "+a", "done"]).await;
    open(&server, &mut watch).await;
    let address = server.address();
    server.leave();
    server.forget();
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
    server.come_back().unwrap();
    assert_eq!(server.apply(service("b")).unwrap(), first, "versions begin anew");
    // So the client believes that it knows this version, and is not told of b.
    let mut watch = watch.filter(|told| ready(told != "error"));
    open(&server, &mut watch).await;
    server.apply(service("c")).unwrap();
    expect(&mut watch, &["c"]).await;
}

#[tokio::test]
async fn a_watch_that_is_cut_goes_on_without_a_gap() {
    let server = ApiServer::start(&Options::default()).unwrap();
    server.apply(service("a")).unwrap();
    let mut watch = services(&client(&server).await, Config::default());
    expect(&mut watch, &["init", "+a", "done"]).await;
    open(&server, &mut watch).await;
    server.disturb(Resource::Services, Fault::Cut { after: 1 });
    let whole = server.apply(service("b")).unwrap();
    server.apply(service("c")).unwrap();
    server.apply(service("d")).unwrap();
    expect(&mut watch, &["b", "c", "d"]).await;
    let resumed = server.requests().pop().unwrap();
    assert!(resumed.query.contains(&format!("resourceVersion={whole}")), "{}", resumed.query);
}

#[tokio::test]
async fn expired_tokens_are_refused() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let client = client(&server).await;
    let services = Api::<Service>::all(client);
    assert!(services.list(&ListParams::default()).await.is_ok());
    server.set_tokens(["fresh"]);
    match services.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 401),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_are_kept_for_the_test() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let recorder = Recorder::new(client(&server).await, "svcnat".into());
    let node =
        ObjectReference { kind: Some("Node".into()), name: Some("node-1".into()), ..Default::default() };
    let note = Note {
        type_: EventType::Warning,
        reason: "Repaired".into(),
        note: Some("the table was gone".into()),
        action: "Repairing".into(),
        secondary: None,
    };
    server.fault(On::resource(Resource::Events), Times::Next(1), Fault::Status(Failure::Forbidden));
    assert!(recorder.publish(&note, &node).await.is_err());
    recorder.publish(&note, &node).await.unwrap();
    recorder.publish(&note, &node).await.unwrap();
    let posted = server.events_posted();
    assert_eq!(posted.iter().map(|posted| posted.verb).collect::<Vec<_>>(), [Verb::Create, Verb::Patch]);
    assert_eq!(posted[1].event["reason"], "Repaired");
    assert_eq!(posted[1].event["series"]["count"], 2);
}

#[tokio::test]
async fn thousands_of_changes_arrive_in_order() {
    const CHANGES: usize = 2_000;
    let cluster = Cluster { services: 50, backends: 10 };
    let server = ApiServer::start(&Options::default()).unwrap();
    server.load(cluster.objects()).unwrap();
    let slices = Api::<EndpointSlice>::all(client(&server).await);
    let parameters = WatchParams::default();
    let watch = slices.watch(&parameters, &server.version().to_string()).await.unwrap();
    let mut watch = pin!(watch);
    let mut versions = Vec::new();
    for change in 0..CHANGES {
        versions.push(server.apply(cluster.changed_slice(change % 50, change / 50)).unwrap());
    }
    let mut told: Vec<u64> = Vec::new();
    while told.len() < CHANGES {
        match tokio::time::timeout(SOON, watch.next()).await.unwrap().unwrap().unwrap() {
            WatchEvent::Modified(slice) => {
                assert_eq!(slice.endpoints.len(), 10);
                told.push(slice.resource_version().unwrap().parse().unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, versions);
}

#[tokio::test]
async fn a_frozen_server_is_silent_and_goes_on() {
    let server = ApiServer::start(&Options::default()).unwrap();
    server.apply(service("a")).unwrap();
    let client = client(&server).await;
    let mut watch = services(&client, Config::default());
    expect(&mut watch, &["init", "+a", "done"]).await;
    server.freeze(true);
    server.apply(service("b")).unwrap();
    expect_nothing(&mut watch).await;
    let another = Api::<Service>::all(client);
    let parameters = ListParams::default();
    let list = pin!(another.list(&parameters));
    let quiet = pin!(tokio::time::sleep(Duration::from_millis(100)));
    let Either::Right(((), list)) = select(list, quiet).await else { panic!("answered") };
    server.freeze(false);
    assert_eq!(list.await.unwrap().items.len(), 2);
    expect(&mut watch, &["b"]).await;
}
