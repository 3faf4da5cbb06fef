//! Changes: where they lead, and what they cost.

use proptest::prelude::*;
use svcnat_oracle::World;
use svcnat_oracle::build::{self, here, tcp_slice};
use svcnat_oracle::generate::arb_world;
use svcnat_rules::iptables::{
    Change, Installed, InstalledRule, Rule, Ruleset, TableName, compile, diff, parse, script,
};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::Hook;

use crate::fake_restore::FakeHost;

fn compiled(world: &World) -> Ruleset {
    compile(&world.cluster, &world.config).ruleset
}

/// Both families of a host.
#[derive(Clone)]
struct Host([FakeHost; 2]);

impl Host {
    fn new() -> Self {
        Self([FakeHost::with_others(), FakeHost::with_others()])
    }

    fn installed(&self) -> Installed {
        let mut installed = Installed::default();
        for (family, host) in Family::ALL.into_iter().zip(&self.0) {
            installed.families.insert(family, parse(&host.save()).unwrap());
        }
        installed
    }

    fn apply(&mut self, change: &Change<'_>) {
        for (family, host) in Family::ALL.into_iter().zip(&mut self.0) {
            if let Some(tables) = change.families.get(&family) {
                host.restore(&Change::input(tables));
            }
        }
    }

    fn save(&self) -> [String; 2] {
        [self.0[0].save(), self.0[1].save()]
    }
}

/// Applies what is wanted and checks that it is there, and that there is nothing more to do.
fn apply(host: &mut Host, wanted: &Ruleset) {
    let installed = host.installed();
    host.apply(&diff(wanted, &installed));
    let installed = host.installed();
    let left = diff(wanted, &installed);
    assert!(left.is_empty(), "left to do:\n{left}");
}

fn services(count: u32) -> World {
    (0..count).fold(build::world(), |world, number| {
        let name = format!("shop/web-{number}");
        let [high, low] = [number / 200, number % 200 + 1];
        let service = build::service(&name).cluster_ip(&format!("10.96.{high}.{low}")).tcp(80);
        let pods = [1, 2, 3].map(|pod| here(&format!("10.{}.{high}.{low}", 200 + pod)));
        world.service(service).slice(tcp_slice(&name, pods))
    })
}

#[test]
fn what_render_prints_is_there_once_it_is_loaded() {
    let wanted = compiled(&services(3));
    let mut host = Host::new();
    let text = script(&wanted, &[]).to_string();
    let (_, ipv4) = text.split_once("# IPv4: iptables-restore --noflush\n").unwrap();
    let (ipv4, ipv6) = ipv4.split_once("# IPv6: ip6tables-restore --noflush\n").unwrap();
    host.0[0].restore(ipv4);
    host.0[1].restore(ipv6);
    assert!(diff(&wanted, &host.installed()).is_empty());
}

#[test]
fn what_is_there_by_now_needs_no_look_at_the_host() {
    let mut host = Host::new();
    let (before, after) = (compiled(&services(3)), compiled(&services(5)));
    apply(&mut host, &before);
    let remembered = Installed::from(&before);
    host.apply(&diff(&after, &remembered));
    assert!(diff(&after, &host.installed()).is_empty());
}

#[test]
fn everything_of_ours_goes_and_nothing_else() {
    let untouched = Host::new();
    let mut host = untouched.clone();
    apply(&mut host, &compiled(&services(3)));
    assert_ne!(host.save(), untouched.save());
    apply(&mut host, &Ruleset::default());
    assert_eq!(host.save(), untouched.save());
    assert!(host.installed().is_empty());
}

#[test]
fn what_others_did_to_our_rules_is_undone() {
    let wanted = compiled(&services(3));
    let mut sound = Host::new();
    apply(&mut sound, &wanted);
    for broken in [
        // Before or behind ours, removed, twice, and in other words.
        "*nat\n-I PREROUTING 1 -j OTHERS\nCOMMIT\n",
        "*nat\n-D PREROUTING -j SVCNAT-SERVICES\nCOMMIT\n",
        "*nat\n-A PREROUTING -j SVCNAT-SERVICES\nCOMMIT\n",
        "*nat\n-I PREROUTING 1 -i eth0 -j SVCNAT-SERVICES\nCOMMIT\n",
        // Chains of ours with less, more, and other rules, and one that we never made.
        "*nat\n:SVCNAT-SVC-shop/web-0 - [0:0]\nCOMMIT\n",
        "*nat\n-A SVCNAT-SERVICES -j LOG\nCOMMIT\n",
        "*nat\n-I SVCNAT-SERVICES 2 -j LOG\nCOMMIT\n",
        "*filter\n-I SVCNAT-CLUSTER-IPS 1 -d 10.96.0.77/32 -j SVCNAT-REJECT\nCOMMIT\n",
        "*filter\n:SVCNAT-CLUSTER-IPS - [0:0]\nCOMMIT\n",
        "*mangle\n:SVCNAT-OLD - [0:0]\n-A SVCNAT-OLD -j LOG\n-I INPUT 1 -j SVCNAT-OLD\nCOMMIT\n",
    ] {
        let mut host = sound.clone();
        host.0[0].restore(broken);
        let installed = host.installed();
        assert!(!diff(&wanted, &installed).is_empty(), "{broken} is not noticed");
        apply(&mut host, &wanted);
        let differs = sound.save() != host.save();
        // Rules of others that came first stay, behind ours.
        assert_eq!(differs, broken.contains("1 -j OTHERS"), "{broken}");
    }
}

#[test]
fn rules_of_ours_are_in_front_of_those_of_others() {
    let mut host = Host::new();
    apply(&mut host, &compiled(&services(1)));
    let installed = host.installed();
    let forward = &installed.families[&Family::Ipv4][&TableName::Filter].jumps[&Hook::Forward];
    let positions: Vec<usize> = forward.iter().map(|jump| jump.position).collect();
    assert_eq!(positions, [0, 1]);
}

#[test]
fn a_changed_service_writes_only_what_is_its_own() {
    let changes = [10, 1_000].map(|count| {
        let before = compiled(&services(count));
        let installed = Installed::from(&before);
        let name = "shop/web-0";
        let replaced = ["10.201.0.1", "10.202.0.1", "10.204.0.1"].map(here);
        let mut world = services(count).slice(tcp_slice(name, replaced));
        let endpoints = diff(&compiled(&world), &installed).to_string();
        world.cluster.services.retain(|service, _| service.as_str() != name);
        let removed = diff(&compiled(&world), &installed).to_string();
        let node_port = build::service("shop/new").cluster_ip("10.97.0.1").tcp(80).node_port(30_080);
        let slice = tcp_slice("shop/new", [here("10.244.0.9")]);
        let added = diff(&compiled(&services(count).service(node_port).slice(slice)), &installed).to_string();
        [endpoints, removed, added]
    });
    assert_eq!(changes[0], changes[1]);
    let [endpoints, removed, added] = &changes[0];
    assert_eq!(endpoints.matches("\n:").count(), 1, "{endpoints}");
    assert!(removed.lines().count() < 25 && added.lines().count() < 30, "{removed}{added}");
}

#[test]
fn the_rules_in_any_order_are_the_same_where_order_does_not_matter() {
    let wanted = compiled(&services(5));
    let shuffled = |chain: &str| {
        let mut installed = Installed::from(&wanted);
        for table in installed.families.values_mut().flat_map(|tables| tables.values_mut()) {
            if let Some(rules) = table.chains.get_mut(chain) {
                rules[..2].reverse();
            }
        }
        diff(&wanted, &installed).summary().to_string()
    };
    assert_eq!(shuffled("SVCNAT-SERVICES"), "unchanged");
    assert_eq!(shuffled("SVCNAT-SVC-shop/web-0"), "rules +3 -3");
}

#[test]
fn the_summary_counts_what_comes_and_goes() {
    let (before, after) = (compiled(&services(2)), compiled(&services(3)));
    let check = |wanted: &Ruleset, there: &Ruleset, expected: &str| {
        assert_eq!(diff(wanted, &Installed::from(there)).summary().to_string(), expected);
    };
    check(&before, &before, "unchanged");
    // The address has two rules, and one that leads there; backends are drawn by three and masqueraded by three where
    // they ask themselves; one refuses other ports.
    check(&after, &before, "chains +2, rules +10");
    check(&before, &after, "chains -2, rules -10");
    let mut installed = Installed::from(&before);
    let nat = installed.families.get_mut(&Family::Ipv4).unwrap().get_mut(&TableName::Nat).unwrap();
    let extra = InstalledRule::Known(Rule::jump("SVCNAT-HAIRPIN"));
    nat.chains.get_mut(&Name::from("SVCNAT-POSTROUTING")).unwrap().push(extra);
    assert_eq!(diff(&before, &installed).summary().to_string(), "rules -1");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_change_leads_from_any_rules_to_any_other(worlds in prop::collection::vec(arb_world(), 3)) {
        let mut host = Host::new();
        for world in &worlds {
            apply(&mut host, &compiled(world));
        }
        apply(&mut host, &Ruleset::default());
        assert_eq!(host.save(), Host::new().save());
    }
}
