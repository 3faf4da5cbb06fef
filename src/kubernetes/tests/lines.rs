//! What is told, event by event.

use std::time::{Duration, SystemTime};

use super::recorded::END;
use super::{Fed, names};
use crate::kubernetes::failure::{Failure, Since};
use crate::kubernetes::handle::Resource;
use crate::kubernetes::kinds::{Endpoints, ServiceCidrs, Services, Slices, ThisNode};
use crate::source::News;

fn service(kind: &str, name: &str, version: &str, address: &str) -> String {
    format!(
        r#"{{"type":"{kind}","object":{{"metadata":{{"namespace":"demo","name":"{name}","resourceVersion":"{version}"}},"spec":{{"clusterIP":"{address}","ports":[{{"port":80}}]}}}}}}"#
    )
}

/// The steps of a case: `*lines` of a list, `!lines` of a list of the latest state, `lines` of a watch.
async fn told_of_services(steps: &[&str]) -> Vec<String> {
    let mut services = Fed::new(Services { known: names(["known", "web"]) }).await;
    for step in steps {
        let since = match step.get(..1) {
            Some("*") => Some(Since::Any),
            Some("!") => Some(Since::Latest),
            _ => None,
        };
        let events = step.trim_start_matches(['*', '!']);
        let events = events.split(',').map(str::trim).filter(|event| !event.is_empty());
        let lines = events.map(|event| match event.split(' ').collect::<Vec<_>>()[..] {
            ["end"] => END.to_owned(),
            [kind, name, version] => service(kind, name, version, "10.0.0.1"),
            [kind, name, version, address] => service(kind, name, version, address),
            _ => panic!("{event}"),
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        match since {
            Some(since) => services.list_since(&since, &lines).await.unwrap(),
            None => services.follow(&lines).await.unwrap(),
        }
    }
    let short = |text: String| text.replace("service demo/", "").replace(" [10.0.0.1]", "");
    services.told().into_iter().map(short).collect()
}

#[tokio::test]
async fn each_version_is_told_once_and_only_forward() {
    let check = async |steps: &[&str], expected: &[&str]| {
        let mut told = told_of_services(steps).await;
        // What was known from elsewhere is asked in the next test.
        told.retain(|told| told != "known gone" && told != "web gone" && told != "complete");
        assert_eq!(told, expected, "{steps:?}");
    };
    check(&["*ADDED a 110, ADDED b 111, end"], &["a", "b"]).await;
    check(&["*ADDED a 110, end", "ADDED a 110, MODIFIED a 110"], &["a"]).await;
    check(&["*ADDED a 110, end", "MODIFIED a 120, MODIFIED a 119, MODIFIED a 120"], &["a", "a"]).await;
    check(&["*end", "ADDED a 110, DELETED a 112, MODIFIED a 111"], &["a", "a gone"]).await;
    check(&["*end", "ADDED a 110, DELETED a 112, ADDED a 113"], &["a", "a gone", "a"]).await;
    check(&["*end", "ADDED a 110, MODIFIED a 112, DELETED a 111"], &["a", "a"]).await;
    check(&["*end", "DELETED a 111"], &[]).await;
    // What a list does not name is gone. Older versions count only where it is of the latest state.
    check(&["*ADDED a 110, ADDED b 111, end", "*ADDED b 111, end"], &["a", "b", "a gone"]).await;
    check(&["*ADDED a 110, end", "*ADDED a 90 10.0.0.2, end"], &["a"]).await;
    check(&["*ADDED a 110, end", "!ADDED a 90 10.0.0.2, end"], &["a", "a [10.0.0.2]"]).await;
    check(&["*ADDED a 110, end", "!ADDED a 110, end"], &["a"]).await;
    // Versions that are no numbers are only the same or not.
    check(&["*ADDED a x, end", "MODIFIED a x, MODIFIED a w, MODIFIED a x"], &["a", "a", "a"]).await;
    // One that is no Service any more, or none for us, is gone; once.
    check(&["*ADDED a 110, end", "MODIFIED a 111 None, MODIFIED a 112 None"], &["a", "a gone"]).await;
    check(&["*ADDED a 110, end", "MODIFIED a 111 nonsense, DELETED a 112 nonsense"], &["a", "a gone"]).await;
}

#[tokio::test]
async fn the_first_complete_list_removes_what_was_known_and_is_gone() {
    let told = told_of_services(&["*ADDED web 110, end", "DELETED web 112"]).await;
    assert_eq!(told, ["web", "known gone", "complete", "web gone"]);
    let told = told_of_services(&["*ADDED web 110 None, end"]).await;
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(sorted, ["complete", "known gone", "web gone"]);
    assert_eq!(told.last().unwrap(), "complete", "after everything else");
}

#[tokio::test]
async fn completeness_is_told_once() {
    let told = told_of_services(&["*end", "*end", "ADDED a 110", "*end"]).await;
    assert_eq!(told.iter().filter(|told| *told == "complete").count(), 1, "{told:?}");
}

#[tokio::test]
async fn a_list_that_breaks_off_removes_nothing() {
    let mut services = Fed::new(Services { known: names([]) }).await;
    let lines = [service("ADDED", "a", "110", "10.0.0.1"), service("ADDED", "b", "111", "10.0.0.2")];
    services.list(&[&lines.join("\n"), END].join("\n")).await.unwrap();
    services.told();
    assert!(matches!(services.list(&lines[1]).await, Err(Failure::CutShort)));
    assert_eq!(services.told(), [""; 0]);
    services.list(&[&lines[1], END].join("\n")).await.unwrap();
    assert_eq!(services.told(), ["service demo/a gone"]);
}

#[tokio::test]
async fn an_object_that_cannot_be_understood_costs_only_itself() {
    let check = async |malformed: &str| {
        let mut services = Fed::new(Services { known: names([]) }).await;
        let good = service("ADDED", "good", "112", "10.0.0.2");
        let lines = [&service("ADDED", "bad", "110", "10.0.0.1"), malformed, &good, END].join("\n");
        services.list(&lines).await.unwrap();
        let expected = [
            "service demo/bad [10.0.0.1]",
            "service demo/bad gone",
            "service demo/good [10.0.0.2]",
            "complete",
        ];
        assert_eq!(services.told(), expected, "{malformed}");
        assert_eq!(services.handle.status(Resource::Services).malformed, 1);
        // The same version says nothing new, and the object can recover.
        services.list(&[malformed, &good, END].join("\n")).await.unwrap();
        assert_eq!(services.handle.status(Resource::Services).malformed, 1);
        services.follow(&service("MODIFIED", "bad", "113", "10.0.0.1")).await.unwrap();
        assert_eq!(services.told(), ["service demo/bad [10.0.0.1]"], "{malformed}");
    };
    let object = |rest: &str| {
        format!(
            r#"{{"type":"MODIFIED","object":{{"metadata":{{"namespace":"demo","name":"bad","resourceVersion":"111"}},{rest}}}}}"#
        )
    };
    check(&object(r#""spec":{"ports":"none"}"#)).await;
    check(&object(r#""spec":[1,2]"#)).await;
    check(&object(r#""spec":{"clusterIP":"10.0.0.1","ports":[{"port":"http"}]}"#)).await;
    check(&object(r#""spec":{"clusterIP":"10.0.0.1","ports":[{"port":99999999999}]}"#)).await;
    check(&object(r#""spec":{"clusterIP":"10.0.0.1","ports":[{"port":0}]}"#)).await;
    check(&object(r#""spec":{"clusterIP":"10.0.0.1000","ports":[{"port":1}]}"#)).await;
    check(&service("MODIFIED", "bad", "111", "10.0.0.1").replace("\"port\"", "\"Port\"")).await;
}

#[tokio::test]
async fn an_object_without_a_name_is_passed_over() {
    for nameless in [
        r#"{"type":"ADDED","object":{}}"#,
        r#"{"type":"ADDED","object":7}"#,
        r#"{"type":"ADDED","object":{"metadata":"x"}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"","namespace":"demo","resourceVersion":"111"}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":7,"resourceVersion":"111"}}}"#,
    ] {
        let mut services = Fed::new(Services { known: names([]) }).await;
        let good = service("ADDED", "good", "112", "10.0.0.2");
        services.follow(&[nameless, &good].join("\n")).await.unwrap();
        assert_eq!(services.told(), ["service demo/good [10.0.0.2]"], "{nameless}");
    }
}

#[tokio::test]
async fn a_list_that_is_none_or_too_old_is_noticed_and_removes_nothing() {
    // The end of the list says 200.
    let mut services = Fed::new(Services { known: names([]) }).await;
    services.list(&[&service("ADDED", "a", "110", "10.0.0.1"), END].join("\n")).await.unwrap();
    let since = |version: &str| Since::NotOlderThan(version.to_owned());
    assert!(matches!(services.list_since(&since("201"), END).await, Err(Failure::WentBack)));
    assert_eq!(services.told(), ["service demo/a [10.0.0.1]", "complete"]);
    services.list_since(&since("200"), END).await.unwrap();
    assert_eq!(services.told(), ["service demo/a gone"]);
    // A server that knows nothing of streaming lists sends its first plain bookmark instead of the end.
    let mut services = Fed::new(Services { known: names([]) }).await;
    let bookmark = END.replace("initial-events-end", "something-else");
    assert!(matches!(services.list(&bookmark).await, Err(Failure::NotStreaming)));
}

#[tokio::test]
async fn the_time_of_what_led_to_a_change_is_told() {
    let slice = |annotation: &str| {
        format!(
            r#"{{"type":"ADDED","object":{{"metadata":{{"namespace":"demo","name":"web-1","resourceVersion":"110","labels":{{"kubernetes.io/service-name":"web"}},"annotations":{{"other":"x",{annotation}"z":"y"}}}},"addressType":"IPv4","endpoints":null,"ports":null}}}}"#
        )
    };
    let check = async |annotation: &str, expected: Option<Duration>| {
        let mut slices = Fed::new(Slices { known: names([]) }).await;
        slices.follow(&slice(annotation)).await.unwrap();
        let Ok(News::Change(change)) = slices.receiver.try_recv() else { panic!("{annotation}") };
        let since = change.triggered.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        assert_eq!(since, expected, "{annotation}");
    };
    const KEY: &str = "endpoints.kubernetes.io/last-change-trigger-time";
    check("", None).await;
    check(&format!(r#""{KEY}":"2026-11-22T21:40:26Z","#), Some(Duration::from_secs(1_795_383_626))).await;
    check(&format!(r#""{KEY}":"2026-11-22T21:40:26.5Z","#), Some(Duration::from_millis(1_795_383_626_500)))
        .await;
    check(&format!(r#""{KEY}":"yesterday","#), None).await;
}

#[tokio::test]
async fn endpoints_become_slices_with_stable_names() {
    let endpoints = |kind: &str, version: u32, subsets: &str| {
        format!(
            r#"{{"type":"{kind}","object":{{"metadata":{{"namespace":"demo","name":"web","resourceVersion":"{version}"}},"subsets":{subsets}}}}}"#
        )
    };
    let subset = |addresses: &[&str]| {
        let addresses: Vec<_> = addresses.iter().map(|ip| format!(r#"{{"ip":"{ip}"}}"#)).collect();
        format!(r#"{{"addresses":[{}],"ports":[{{"port":80}}]}}"#, addresses.join(","))
    };
    let known = names(["web-endpoints-ipv4", "old-endpoints-ipv6"]);
    let mut fed = Fed::new(Endpoints { known }).await;
    let check = |told: Vec<String>, expected: &[&str]| {
        let told: Vec<_> =
            told.iter().map(|told| told.replace("slice demo/", "").replace("of demo/web ", "")).collect();
        assert_eq!(told, expected);
    };
    let both = format!("[{},{}]", subset(&["10.0.0.1", "fd00::1"]), subset(&["10.0.0.2"]));
    fed.list(&[&endpoints("ADDED", 110, &both), END].join("\n")).await.unwrap();
    check(
        fed.told(),
        &[
            "web-endpoints-ipv4 10.0.0.1",
            "web-endpoints-ipv6 fd00::1",
            "web-endpoints-ipv4-2 10.0.0.2",
            "old-endpoints-ipv6 gone",
            "complete",
        ],
    );
    fed.follow(&endpoints("MODIFIED", 111, &format!("[{}]", subset(&["10.0.0.2"])))).await.unwrap();
    check(
        fed.told(),
        &["web-endpoints-ipv4 10.0.0.2", "web-endpoints-ipv4-2 gone", "web-endpoints-ipv6 gone"],
    );
    fed.follow(&endpoints("DELETED", 112, "null")).await.unwrap();
    check(fed.told(), &["web-endpoints-ipv4 gone"]);
}

#[tokio::test]
async fn the_node_tells_whether_load_balancers_should_send_traffic() {
    let node = |version: u32, metadata: &str, spec: &str| {
        format!(
            r#"{{"type":"MODIFIED","object":{{"metadata":{{"name":"n1","resourceVersion":"{version}"{metadata}}},"spec":{{{spec}}},"status":{{"addresses":[{{"type":"InternalIP","address":"192.0.2.1"}}],"images":[{{"names":["x"]}}]}}}}}}"#
        )
    };
    let taint = r#""taints":[{"key":"a","effect":"NoSchedule"},{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]"#;
    let mut fed = Fed::new(ThisNode::new("n1".to_owned())).await;
    fed.list(END).await.unwrap();
    assert_eq!(fed.told(), ["node None", "eligible false", "complete"]);
    let mut check = async |line: String, expected: &[&str]| {
        fed.follow(&line).await.unwrap();
        assert_eq!(fed.told(), expected, "{line}");
    };
    check(node(110, "", ""), &["node Some([192.0.2.1])", "eligible true"]).await;
    check(node(111, "", r#""taints":[{"key":"a","effect":"NoSchedule"}]"#), &[]).await;
    check(node(112, "", taint), &["eligible false"]).await;
    check(node(113, "", ""), &["eligible true"]).await;
    check(node(114, r#","deletionTimestamp":"2026-11-22T21:40:26Z""#, ""), &["eligible false"]).await;
    check(node(115, "", "").replace("\"n1\"", "\"n2\"").replace("192.0.2.1", "192.0.2.2"), &[]).await;
    check(node(116, "", "").replace("MODIFIED", "DELETED"), &["node None"]).await;
    check(node(117, "", r#""podCIDRs":7"#), &[]).await;
    check(node(118, "", ""), &["node Some([192.0.2.1])", "eligible true"]).await;
}

#[tokio::test]
async fn service_cidrs_are_told_together_and_only_when_different() {
    let cidr = |kind: &str, name: &str, version: u32, networks: &str| {
        format!(
            r#"{{"type":"{kind}","object":{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}},"spec":{{"cidrs":[{networks}]}}}}}}"#
        )
    };
    let mut fed = Fed::new(ServiceCidrs::default()).await;
    let first = cidr("ADDED", "kubernetes", 110, r#""10.96.0.0/12","fd00::/112""#);
    fed.list(&[&first, &cidr("ADDED", "more", 111, r#""10.1.0.0/16""#), END].join("\n")).await.unwrap();
    assert_eq!(fed.told(), ["cidrs 10.1.0.0/16,10.96.0.0/12,fd00::/112", "complete"]);
    let mut check = async |line: String, expected: &[&str]| {
        fed.follow(&line).await.unwrap();
        assert_eq!(fed.told(), expected, "{line}");
    };
    check(cidr("ADDED", "twin", 112, r#""10.1.0.0/16""#), &[]).await;
    check(cidr("MODIFIED", "more", 113, r#""nonsense""#), &[]).await;
    check(cidr("DELETED", "twin", 114, ""), &["cidrs 10.96.0.0/12,fd00::/112"]).await;
    check(cidr("MODIFIED", "more", 115, r#""10.2.0.0/16""#), &["cidrs 10.2.0.0/16,10.96.0.0/12,fd00::/112"])
        .await;
}
