//! What is asked of the server is what the role of `deploy/` grants, and all of it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::ClusterRole;
use svcnat::kubernetes::{Regarding, Report, Reporter, Severity};
use svcnat_apiserver::{ApiServer, Options, Request, Resource};

use crate::agent::{Agent, populate};

/// Verb, API group and resource.
type Permission = (String, String, String);

/// What the role grants.
fn granted() -> BTreeSet<Permission> {
    let manifests = include_str!("../../deploy/base/rbac.yaml");
    let role = manifests.split("\n---\n").find(|manifest| manifest.contains("kind: ClusterRole\n")).unwrap();
    let role: ClusterRole = serde_saphyr::from_str(role).unwrap();
    let mut granted = BTreeSet::new();
    for rule in role.rules.iter().flatten() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                granted.extend(rule.verbs.iter().map(|verb| (verb.clone(), group.clone(), resource.clone())));
            }
        }
    }
    granted
}

/// What a request needs, as an API server reads it (`RequestInfo` of its authorizer).
fn needed(request: &Request) -> Permission {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let (group, rest) = match &parts[..] {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => panic!("{} is no path of a resource", request.path),
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let verb = match (request.method.as_str(), rest.len()) {
        ("GET", _) if request.query.contains("watch=") => "watch",
        ("GET", 1) => "list",
        ("GET", _) => "get",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        (method, _) => panic!("{method} {}", request.path),
    };
    (verb.to_owned(), group.to_owned(), rest[0].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_grants_what_is_asked_for_and_nothing_else() {
    let mut asked = BTreeSet::new();
    for (streaming_lists, slices) in [(true, true), (false, true), (true, false), (false, false)] {
        let server = ApiServer::start(&Options { streaming_lists, ..Options::default() }).unwrap();
        populate(&server);
        server.set_served(Resource::EndpointSlices, slices);
        let mut agent = Agent::start(&server).await;
        agent.until_complete("permissions").await;
        for watched in [svcnat::kubernetes::Resource::Services, svcnat::kubernetes::Resource::ServiceCidrs] {
            agent.until_status(watched, |status| status.connected).await;
        }
        let (reporter, posting) = Reporter::new(agent.connection.clone(), "n1".to_owned());
        let posting = tokio::spawn(posting);
        for note in ["one", "another"] {
            reporter.report(Report {
                regarding: Regarding::Node,
                severity: Severity::Warning,
                reason: "RulesRepaired",
                action: "Repair",
                note: note.to_owned(),
            });
        }
        assert!(server.wait_until(Duration::from_secs(20), |server| server.events_posted().len() >= 2));
        drop(reporter);
        posting.await.unwrap();
        asked.extend(server.requests().iter().map(needed));
    }
    assert_eq!(asked, granted());
}
