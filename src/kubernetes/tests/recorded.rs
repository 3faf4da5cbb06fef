//! What a real server answered is read as it is meant.

use std::time::Instant;

use kube::core::Status;

use super::Fed;
use crate::kubernetes::failure::{Failure, Position, Since};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::kinds::{ServiceCidrs, Services, Slices, ThisNode};
use crate::kubernetes::object::{Item, Object};

#[tokio::test]
async fn recorded_watches_are_told() {
    let mut services = Fed::new(Services { known: super::names([]) }).await;
    services.follow(include_str!("recorded/watch-services.jsonl")).await.unwrap();
    let expected = [
        "service demo3/web [10.107.124.129]",
        "service demo3/api [10.101.193.169]",
        "service demo3/api [10.101.193.169]",
    ];
    assert_eq!(services.told(), expected);
    assert_eq!(services.handle.status(Resource::Services).objects, 3, "one of four was deleted");

    let mut slices = Fed::new(Slices { known: super::names([]) }).await;
    slices.follow(include_str!("recorded/watch-endpointslices.jsonl")).await.unwrap();
    let expected = [
        "slice demo3/web-1 of demo3/web 10.244.0.2,10.244.1.2",
        "slice demo3/web-1 of demo3/web 10.244.0.2,10.244.1.9",
    ];
    assert_eq!(slices.told(), expected);
}

#[tokio::test]
async fn recorded_lists_are_told() {
    let mut node = Fed::new(ThisNode::new("node-1".to_owned())).await;
    node.list(&as_stream(include_str!("recorded/node.json"))).await.unwrap();
    assert_eq!(node.told(), ["node Some([192.168.1.2])", "eligible true", "complete"]);

    let mut cidrs = Fed::new(ServiceCidrs::default()).await;
    cidrs.list(&as_stream(include_str!("recorded/servicecidrs.json"))).await.unwrap();
    assert_eq!(cidrs.told(), ["cidrs 10.96.0.0/12", "complete"]);
}

/// A list as the stream that a server would make of it.
fn as_stream(list: &str) -> String {
    let list: serde_json::Value = serde_json::from_str(list).unwrap();
    let added = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"));
    added.chain([END.to_owned()]).collect()
}

pub const END: &str = r#"{"type":"BOOKMARK","object":{"kind":"Any","apiVersion":"v1","metadata":{"resourceVersion":"200","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;

#[tokio::test]
async fn recorded_refusals_lead_on() {
    let watching = || Position::Watch("100".to_owned());
    let streaming = || Position::List { since: Since::Any, streaming: true };
    let check = |failure: &Failure, before: Position, expected: Position| {
        assert_eq!(before.after(failure, true), expected, "{failure}");
    };

    let mut services = Fed::new(Services { known: super::names([]) }).await;
    let failure = services.follow(include_str!("recorded/watch-too-old.jsonl")).await.unwrap_err();
    check(
        &failure,
        watching(),
        Position::List { since: Since::NotOlderThan("100".to_owned()), streaming: true },
    );
    let failure = services.list(include_str!("recorded/streaming-list-refused.jsonl")).await.unwrap_err();
    check(&failure, streaming(), Position::List { since: Since::Any, streaming: false });
    assert_eq!(services.told(), [""; 0]);

    let answered = |body: &str| Failure::Status(serde_json::from_str::<Box<Status>>(body).unwrap());
    let failure = answered(include_str!("recorded/list-expired-continue.json"));
    let plain = |since| Position::List { since, streaming: false };
    check(&failure, plain(Since::Any), plain(Since::Any));
    check(
        &failure,
        plain(Since::NotOlderThan("1".to_owned())),
        Position::List { since: Since::Latest, streaming: true },
    );
    for (body, code) in
        [(include_str!("recorded/unauthorized.json"), 401), (include_str!("recorded/not-found.json"), 404)]
    {
        let failure = answered(body);
        assert_eq!(failure.code(), Some(code));
        check(&failure, watching(), watching());
        check(&failure, streaming(), streaming());
    }
}

/// The trimmed types lose nothing that the conversion reads: what they give converts to the same as the whole object.
#[test]
fn trimming_changes_nothing_that_is_converted() {
    fn check<T: Object>(line: &str, whole: impl Fn(&str) -> String, trimmed: impl Fn(T) -> String) {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = event["object"].to_string();
        let item = Item::<T>::parse(text.as_bytes(), Instant::now());
        assert_eq!(trimmed(item.content.unwrap()), whole(&text), "{line}");
    }
    use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};

    use crate::convert::{endpoint_slice, node, service};
    use crate::kubernetes::object;
    let mut lines = 0;
    for line in include_str!("recorded/watch-services.jsonl").lines() {
        let whole =
            |text: &str| format!("{:?}", service(&serde_json::from_str::<core::Service>(text).unwrap()));
        check(line, whole, |trimmed: object::Service| format!("{:?}", service(&trimmed.into())));
        lines += 1;
    }
    for line in include_str!("recorded/watch-endpointslices.jsonl").lines() {
        let whole = |text: &str| {
            let whole = serde_json::from_str::<discovery::EndpointSlice>(text).unwrap();
            format!("{:?}", endpoint_slice(&whole.into()))
        };
        check(line, whole, |trimmed: object::EndpointSlice| format!("{:?}", endpoint_slice(&trimmed.into())));
        lines += 1;
    }
    let stream = as_stream(include_str!("recorded/node.json"));
    let whole = |text: &str| format!("{:?}", node(&serde_json::from_str::<core::Node>(text).unwrap()));
    check(stream.lines().next().unwrap(), whole, |trimmed: object::Node| {
        format!("{:?}", node(&trimmed.into()))
    });
    assert_eq!(lines, 13);
}
