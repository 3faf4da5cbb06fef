//! Kubernetes Events arrive as the API wants them.

use std::time::Duration;

use svcnat::kubernetes::{Regarding, Report, Reporter, Severity};
use svcnat_apiserver::{ApiServer, Options, Verb};
use svcnat_rules::name::ObjectName;

use crate::agent::Agent;

fn report(regarding: Regarding, note: &str) -> Report {
    Report {
        regarding,
        severity: Severity::Warning,
        reason: "Conflict",
        action: "Program",
        note: note.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_posted_once_and_repeats_extend_a_series() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let agent = Agent::start(&server).await;
    let (reporter, posting) = Reporter::new(agent.connection.clone(), "n1".to_owned());
    let posting = tokio::spawn(posting);
    let service = || Regarding::Service(ObjectName::new("shop", "web"));
    reporter.report(report(Regarding::Node, "the table was changed"));
    reporter.report(report(Regarding::Node, "the table was changed"));
    reporter.report(report(service(), "192.0.2.1:80 is shop/a's"));
    reporter.report(report(service(), "192.0.2.1:81 is shop/a's"));
    assert!(server.wait_until(Duration::from_secs(20), |server| server.events_posted().len() >= 3));
    drop(reporter);
    posting.await.unwrap();
    let posted = server.events_posted();
    let found: Vec<_> = posted
        .iter()
        .map(|posted| {
            let text =
                |pointer: &str| posted.event.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("-");
            format!(
                "{:?} {} {} {}/{} {} {} {} {}: {} x{}",
                posted.verb,
                posted.namespace,
                text("/regarding/kind"),
                text("/regarding/namespace"),
                text("/regarding/name"),
                text("/type"),
                text("/reason"),
                text("/action"),
                text("/reportingController"),
                text("/note"),
                posted.event.pointer("/series/count").map_or(1, |count| count.as_u64().unwrap()),
            )
        })
        .collect();
    let expected = [
        "Create default Node -/n1 Warning Conflict Program svcnat: the table was changed x1",
        "Create shop Service shop/web Warning Conflict Program svcnat: 192.0.2.1:80 is shop/a's x1",
        "Patch shop Service shop/web Warning Conflict Program svcnat: 192.0.2.1:80 is shop/a's x2",
    ];
    assert_eq!(found, expected);
    assert_eq!(posted[0].verb, Verb::Create);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_take_events_is_no_obstacle() {
    let server = ApiServer::start(&Options::default()).unwrap();
    let agent = Agent::start(&server).await;
    let (reporter, posting) = Reporter::new(agent.connection.clone(), "n1".to_owned());
    server.leave();
    reporter.report(report(Regarding::Node, "nobody hears this"));
    let posting = tokio::spawn(posting);
    while reporter.dropped() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.come_back().unwrap();
    reporter.report(report(Regarding::Node, "this is heard"));
    assert!(server.wait_until(Duration::from_secs(20), |server| !server.events_posted().is_empty()));
    posting.abort();
}
