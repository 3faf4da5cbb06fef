//! Whatever the server does, the outcome is the cluster as it is, and nothing wrong is told on the way.

use std::time::Duration;

use svcnat::kubernetes::Resource as Watched;
use svcnat_apiserver::{ApiServer, Failure, Fault, On, Options, Resource, Times};

use crate::agent::{Agent, IDLE, populate, populated, service, slice};

/// Changes of a running cluster: `a` moves, `b` goes, `d` comes.
fn change(server: &ApiServer) {
    server.apply(service("a", "10.96.0.9")).unwrap();
    server.delete(Resource::Services, "shop", "b").unwrap();
    server.delete(Resource::EndpointSlices, "shop", "b-1").unwrap();
    server.apply(service("d", "10.96.0.4")).unwrap();
    server.apply(slice("a-1", "a", &["10.244.0.2", "10.244.0.3"])).unwrap();
}

/// Takes news until the changes are all told, and asserts that each was told once and nothing else was.
async fn expect_change(agent: &mut Agent, what: &str) {
    let mut expected = populated();
    expected.services.insert("shop/a".to_owned(), "10.96.0.9".to_owned());
    expected.services.insert("shop/d".to_owned(), "10.96.0.4".to_owned());
    expected.services.remove("shop/b");
    expected.slices.insert("shop/a-1".to_owned(), "10.244.0.2,10.244.0.3".to_owned());
    expected.slices.remove("shop/b-1");
    agent.until(what, |world| *world == expected).await;
    let mut gone: Vec<_> = agent.log.iter().filter(|line| line.ends_with(" gone")).collect();
    gone.sort();
    assert_eq!(gone, ["shop/b gone", "shop/b-1 gone"], "{what}");
    for line in ["shop/a 10.96.0.1", "shop/a 10.96.0.9", "shop/c 10.96.0.3", "shop/d 10.96.0.4", "complete"] {
        assert_eq!(agent.count(line), 1, "{what}: {line}: {:#?}", agent.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_survives_every_fault() {
    let lists = |fault: &Fault| {
        [On::list(Resource::Services), On::watch(Resource::EndpointSlices)].map(|on| (on, fault.clone()))
    };
    let check = async |streaming: bool, times: usize, fault: Fault| {
        let what = format!("{fault:?} with streaming lists {streaming}");
        let server = ApiServer::start(&Options { streaming_lists: streaming, ..Options::default() }).unwrap();
        populate(&server);
        for (on, fault) in lists(&fault) {
            server.fault(on, Times::Next(times), fault);
        }
        server.fault(On::watch(Resource::Services), Times::Next(usize::from(streaming)), fault.clone());
        let mut agent = Agent::start(&server).await;
        agent.until_complete(&what).await;
        assert_eq!(agent.world, populated(), "{what}");
        change(&server);
        expect_change(&mut agent, &what).await;
    };
    let slow = Fault::Slow { bytes: 100, pause: Duration::from_millis(1) };
    let cases = [false, true].into_iter().flat_map(|streaming| {
        [
            (streaming, 0, Fault::Duplicate),
            (streaming, 2, Fault::Status(Failure::InternalError)),
            (streaming, 1, Fault::Status(Failure::TooManyRequests { retry_after: 1 })),
            (streaming, 1, Fault::Status(Failure::ServiceUnavailable)),
            (streaming, 1, Fault::Status(Failure::Unauthorized)),
            (streaming, 1, Fault::Status(Failure::Expired)),
            (streaming, 1, Fault::ErrorEvent(Failure::InternalError)),
            (streaming, 1, Fault::Silence),
            (streaming, 1, Fault::Hang { after: 1 }),
            (streaming, 1, Fault::Cut { after: 1 }),
            (streaming, 1, Fault::End { after: 1 }),
            (streaming, 1, slow.clone()),
        ]
    });
    futures::future::join_all(cases.map(|(streaming, times, fault)| check(streaming, times, fault))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_watch_survives_every_fault() {
    let check = async |fault: Fault| {
        let what = format!("{fault:?}");
        let server = ApiServer::start(&Options::default()).unwrap();
        populate(&server);
        let mut agent = Agent::start(&server).await;
        agent.until_complete(&what).await;
        for resource in [Resource::Services, Resource::EndpointSlices] {
            server.disturb(resource, fault.clone());
        }
        change(&server);
        expect_change(&mut agent, &what).await;
    };
    let faults = [
        Fault::Status(Failure::InternalError),
        Fault::ErrorEvent(Failure::Expired),
        Fault::Silence,
        Fault::Hang { after: 1 },
        Fault::Cut { after: 0 },
        Fault::Cut { after: 2 },
        Fault::End { after: 0 },
        Fault::End { after: 2 },
        Fault::Slow { bytes: 100, pause: Duration::from_millis(1) },
        Fault::Duplicate,
        Fault::Stale { changes: 2 },
    ];
    futures::future::join_all(faults.map(check)).await;
}

/// The order in which changes are told may differ with the order in which they come; the outcome may not.
#[tokio::test(flavor = "multi_thread")]
async fn events_in_another_order_come_to_the_same() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("reordered").await;
    server.disturb(Resource::Services, Fault::Reorder);
    server.apply(service("a", "10.96.0.8")).unwrap();
    server.apply(service("a", "10.96.0.9")).unwrap();
    server.apply(service("e", "10.96.0.5")).unwrap();
    server.delete(Resource::Services, "shop", "e").unwrap();
    server.delete(Resource::Services, "shop", "b").unwrap();
    server.apply(service("d", "10.96.0.4")).unwrap();
    agent.until("reordered", |world| world.services.contains_key("shop/d")).await;
    // Another change, so that what came before it has been looked at.
    server.apply(slice("c-1", "c", &["10.244.0.9"])).unwrap();
    server.apply(service("f", "10.96.0.6")).unwrap();
    server.bookmark(Resource::Services);
    agent.until("reordered", |world| world.services.contains_key("shop/f")).await;
    let names: Vec<_> =
        agent.world.services.iter().map(|(name, address)| format!("{name} {address}")).collect();
    assert_eq!(names, ["shop/a 10.96.0.9", "shop/c 10.96.0.3", "shop/d 10.96.0.4", "shop/f 10.96.0.6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_hangs_is_given_up_and_resumed_where_it_was() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("hanging").await;
    let lists = agent.status(Watched::Services).lists;
    server.disturb(Resource::Services, Fault::Silence);
    change(&server);
    expect_change(&mut agent, "hanging").await;
    assert_eq!(agent.status(Watched::Services).lists, lists, "no need to list again");
    assert!(agent.status(Watched::Services).errors > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_keep_a_quiet_watch_open() {
    let interval = IDLE / 4;
    let server = ApiServer::start(&Options { bookmark_interval: interval, ..Options::default() }).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("bookmarks").await;
    agent.until_status(Watched::Services, |status| status.connected).await;
    let began = std::time::Instant::now();
    let long = IDLE * 2;
    agent
        .until_status(Watched::Services, |status| status.last_heard.is_some_and(|heard| heard > began + long))
        .await;
    assert_eq!(agent.status(Watched::Services).errors, 0);
    assert_eq!(server.requests().iter().filter(|request| request.path == "/api/v1/services").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let busy = Fault::Status(Failure::TooManyRequests { retry_after: 3 });
    server.fault(On::watch(Resource::Services), Times::Next(1), busy);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("busy").await;
    let asked = server.requests();
    let asked: Vec<_> = asked.iter().filter(|request| request.path == "/api/v1/services").collect();
    // Without being asked to, the first wait is at most 1.6 s.
    assert!(asked[1].at.duration_since(asked[0].at) >= Duration::from_secs(3));
    assert_eq!(agent.status(Watched::Services).errors, 1);
}
