//! Long silences and long refusals, in fake time: the watches' clock goes only as fast as the test lets it, the server's goes as ever.

use std::time::Duration;

use svcnat::kubernetes::{ClientSettings, Known};
use svcnat_apiserver::{ApiServer, Failure, Fault, On, Options, Resource, Times};
use tokio::sync::oneshot;
use tokio::task::{spawn_blocking, yield_now};

use crate::agent::{Agent, populate, populated, service};

/// A clock that stands until it is told to go on.
struct Clock {
    _held: oneshot::Sender<()>,
}

impl Clock {
    /// Stops the time of the runtime.
    fn stop() -> Self {
        tokio::time::pause();
        // A paused clock leaps to the next timer when there is nothing to do, also where an answer is on its way; but never
        // while a thread works.
        let (_held, released) = oneshot::channel::<()>();
        spawn_blocking(move || released.blocking_recv());
        Self { _held }
    }

    /// Goes on by so much, and lets bytes that are on their way arrive.
    async fn advance(&self, time: Duration) {
        tokio::time::advance(time).await;
        for _ in 0..10 {
            std::thread::sleep(Duration::from_micros(500));
            yield_now().await;
        }
    }
}

const STEP: Duration = Duration::from_secs(5);
/// While the server answers, which takes its real time.
const SMALL_STEP: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);

/// What the server is asked for, of Services.
fn asked(server: &ApiServer) -> usize {
    server.requests().iter().filter(|request| request.path == "/api/v1/services").count()
}

async fn check(compact: bool) {
    let server = ApiServer::start(&Options::default()).unwrap();
    populate(&server);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("before").await;
    agent.until_status(svcnat::kubernetes::Resource::Services, |status| status.connected).await;
    let errors = |agent: &Agent| agent.status(svcnat::kubernetes::Resource::Services).errors;
    let clock = Clock::stop();

    server.freeze(true);
    server.apply(service("a", "10.96.0.9")).unwrap();
    server.delete(Resource::Services, "shop", "b").unwrap();
    if compact {
        server.compact();
    }
    let mut silent = Duration::ZERO;
    while silent < HOUR {
        clock.advance(STEP).await;
        agent.take_what_is_there();
        silent += STEP;
    }
    assert_eq!(agent.world, populated(), "{:#?}", agent.log);
    // A connection attempt takes up to ten seconds, and the wait behind it up to thirty and a half more.
    let attempts = errors(&agent);
    assert!((60..=360).contains(&attempts), "{attempts} attempts in an hour");

    let before = asked(&server);
    server.freeze(false);
    let changed = |agent: &Agent| {
        agent.world.services.get("shop/a").is_some_and(|address| address == "10.96.0.9")
            && !agent.world.services.contains_key("shop/b")
    };
    let mut answering = Duration::ZERO;
    for _ in 0..3000 {
        if changed(&agent) {
            break;
        }
        clock.advance(SMALL_STEP).await;
        agent.take_what_is_there();
        if asked(&server) > before {
            answering += SMALL_STEP;
        }
    }
    assert!(changed(&agent), "five minutes later: {:#?}", agent.log);
    assert_eq!(agent.count("shop/c 10.96.0.3"), 1, "what did not change is told once");
    assert_eq!(agent.count("complete"), 1);
    // The wait of half a minute is for a server that does not answer.
    assert!(answering < Duration::from_secs(15), "{answering:?} after the first answer");
}

#[tokio::test]
async fn after_an_hours_silence_all_that_changed_is_told_and_nothing_before() {
    check(false).await;
}

#[tokio::test]
async fn after_an_hours_silence_a_server_that_has_forgotten_the_version_is_asked_again_at_once() {
    check(true).await;
}

/// Each list costs a server as much as the cluster is large.
#[tokio::test]
async fn a_server_that_has_forgotten_each_version_is_listed_less_and_less_often() {
    let server = ApiServer::start(&Options { streaming_lists: false, ..Options::default() }).unwrap();
    populate(&server);
    let expired = Fault::ErrorEvent(Failure::Expired);
    server.fault(On::watch(Resource::Services), Times::Always, expired);
    let mut agent = Agent::start(&server).await;
    agent.until_complete("forgetful").await;
    let clock = Clock::stop();
    let mut passed = Duration::ZERO;
    while passed < Duration::from_secs(300) {
        clock.advance(SMALL_STEP).await;
        agent.take_what_is_there();
        passed += SMALL_STEP;
    }
    let lists = agent.status(svcnat::kubernetes::Resource::Services).lists;
    assert!((5..=25).contains(&lists), "{lists} lists in five minutes");
}

/// As it is where the API server does not learn from its storage how far that is.
#[tokio::test]
async fn a_resource_that_does_not_change_and_has_no_bookmarks_is_listed_less_and_less_often() {
    let hours = Duration::from_secs(24 * 3600);
    let server = ApiServer::start(&Options { bookmark_interval: hours, ..Options::default() }).unwrap();
    populate(&server);
    let idle = ClientSettings::default().idle;
    let mut agent = Agent::start_with(&server, Known::default(), idle).await;
    agent.until_complete("quiet").await;
    agent.until_status(svcnat::kubernetes::Resource::Services, |status| status.connected).await;
    let clock = Clock::stop();
    let mut lists = Vec::new();
    for _ in 0..3 {
        let before = agent.status(svcnat::kubernetes::Resource::Services).lists;
        let mut passed = Duration::ZERO;
        while passed < HOUR {
            clock.advance(3 * STEP).await;
            agent.take_what_is_there();
            passed += 3 * STEP;
        }
        lists.push(agent.status(svcnat::kubernetes::Resource::Services).lists - before);
    }
    assert!((5..=7).contains(&lists[0]) && (3..=5).contains(&lists[1]), "{lists:?}");
    assert!((3..=5).contains(&lists[2]), "{lists:?}");
    server.apply(service("a", "10.96.0.9")).unwrap();
    for _ in 0..300 {
        clock.advance(SMALL_STEP).await;
        agent.take_what_is_there();
    }
    assert_eq!(agent.world.services["shop/a"], "10.96.0.9", "{:#?}", agent.log);
}
