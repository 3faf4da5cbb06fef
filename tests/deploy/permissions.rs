//! What the agent may ask of the API server.

use std::collections::BTreeSet;

use crate::manifests::AGENTS;

/// What the agent asks of the API server: verb, API group, resource.
const REQUESTS: [(&str, &str, &str); 12] = [
    ("list", "", "services"),
    ("watch", "", "services"),
    ("list", "", "endpoints"),
    ("watch", "", "endpoints"),
    ("list", "", "nodes"),
    ("watch", "", "nodes"),
    ("list", "discovery.k8s.io", "endpointslices"),
    ("watch", "discovery.k8s.io", "endpointslices"),
    ("list", "networking.k8s.io", "servicecidrs"),
    ("watch", "networking.k8s.io", "servicecidrs"),
    ("create", "events.k8s.io", "events"),
    ("patch", "events.k8s.io", "events"),
];

#[test]
fn the_role_grants_what_the_agent_asks_for_and_nothing_else() {
    for (name, objects) in AGENTS.iter() {
        let [role] = &objects.roles[..] else { panic!("{name}: one role") };
        let mut granted = BTreeSet::new();
        for rule in role.rules.iter().flatten() {
            assert!(rule.non_resource_urls.is_none() && rule.resource_names.is_none(), "{name}: {rule:?}");
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    granted.extend(
                        rule.verbs.iter().map(|verb| (verb.as_str(), group.as_str(), resource.as_str())),
                    );
                }
            }
        }
        assert_eq!(granted, BTreeSet::from(REQUESTS), "{name}");
    }
}

#[test]
fn the_role_is_bound_to_the_account_of_the_pods() {
    for (name, objects) in AGENTS.iter() {
        let ([role], [binding], [account]) =
            (&objects.roles[..], &objects.bindings[..], &objects.accounts[..])
        else {
            panic!("{name}: one role, one binding, one account");
        };
        assert_eq!(
            (binding.role_ref.kind.as_str(), Some(&binding.role_ref.name)),
            ("ClusterRole", role.metadata.name.as_ref())
        );
        assert_eq!(binding.role_ref.api_group, "rbac.authorization.k8s.io", "{name}");
        let [subject] = &binding.subjects.as_ref().unwrap()[..] else { panic!("{name}: one subject") };
        assert_eq!(
            (subject.kind.as_str(), Some(&subject.name), &subject.namespace),
            ("ServiceAccount", account.metadata.name.as_ref(), &account.metadata.namespace),
            "{name}"
        );
        assert_eq!(objects.pod().service_account_name, account.metadata.name, "{name}");
        assert_eq!(objects.daemon_set().metadata.namespace, account.metadata.namespace, "{name}");
    }
}
