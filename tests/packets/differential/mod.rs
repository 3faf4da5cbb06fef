//! The kernel against the simulator: in random worlds, random packets that are really sent must fare as the simulator
//! says that they can.
//!
//! Every world is installed over the one before it, in the same network, so the changes between unlike rules, layouts and
//! modes are tried as well.

mod fact;
mod rules;
mod scene;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestError, TestRunner};
use svcnat_lab::{Family, Outcome, PodNetwork, Probe};
use svcnat_oracle::generate::arb_packets;
use svcnat_oracle::{Packet, World};
use svcnat_rules::simulate::{self, Environment, Origin};

use crate::stage::next_port;
use fact::{Fact, Tracked, possible, seen};
use rules::{Rules, Way};
use scene::Scene;

/// How many worlds are tried in each network, and how many packets in each world.
const WORLDS: u32 = 24;
const PACKETS: usize = 16;

/// How long an answer may take; a packet that vanishes as it should is not waited for that long.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(100);

/// Set to the number that a failure printed, the same worlds and packets come again.
const SEED: &str = "PACKETS_SEED";

/// A world, how its rules are made, and packets in it.
type Case = (World, Way, Vec<Packet>);

fn cases(scene: &Scene) -> impl Strategy<Value = Case> + use<> {
    (scene.worlds(), select(&Way::ALL[..])).prop_flat_map(|(world, way)| {
        let packets = arb_packets(&world, PACKETS).prop_map(Scene::that_can_be_sent);
        (Just(world), Just(way), packets)
    })
}

/// A packet on its way: from which port, and what can become of it.
struct Sent<'a> {
    packet: &'a Packet,
    source: SocketAddr,
    target: SocketAddr,
    possible: BTreeSet<Fact>,
}

impl<'a> Sent<'a> {
    fn new(
        scene: &Scene,
        rules: &Rules,
        environment: &Environment,
        packet: &'a Packet,
    ) -> Result<Self, String> {
        let source = SocketAddr::new(packet.source, next_port());
        let target = SocketAddr::new(packet.destination, packet.port);
        let origin = scene.interface(packet).map_or(Origin::Host, |interface| Origin::Network { interface });
        let simulated = simulate::Packet::new(packet.protocol, source, target, origin);
        let outcomes = rules.simulate(environment, &simulated)?;
        Ok(Self { packet, source, target, possible: possible(&outcomes) })
    }

    fn send(&self, scene: &Scene) -> Outcome {
        let vanishes = self.possible.iter().all(|fact| *fact == Fact::Silence);
        let timeout = if vanishes { SILENCE } else { PATIENCE };
        let probe = Probe::new(self.packet.protocol, self.target).from(self.source).timeout(timeout);
        scene.sender(self.packet).probe(&probe)
    }

    /// Holds what happened against what can happen.
    fn judge(
        &self,
        scene: &Scene,
        world: &World,
        outcome: &Outcome,
        tracked: &[Tracked],
    ) -> Result<(), String> {
        let own = tracked.iter().find(|entry| entry.began(self.packet.protocol, self.source, self.target));
        let fact = seen(self.source, outcome, own)?;
        if let (Fact::Arrived { at, .. }, Some(by)) = (fact, outcome.answered_by())
            && by != scene.owner(world, at.ip())
        {
            return Err(format!("{fact}, but {by} answers"));
        }
        if self.possible.contains(&fact) { Ok(()) } else { Err(fact.to_string()) }
    }

    /// Whether masquerading may have given the packet its own address and, once in 64,512 cases, its own port.
    fn may_look_kept(&self, world: &World, outcome: &Outcome) -> bool {
        let kept = outcome.answer().is_some_and(|answer| answer.saw == self.source);
        kept && world.environment.is_local(self.source.ip())
    }

    fn explain(&self, problem: &str) -> String {
        let mut text =
            format!("{:?}\nfrom {} to {}: {problem}\npossible:", self.packet, self.source, self.target);
        for fact in &self.possible {
            let _ = write!(text, " {fact};");
        }
        text
    }
}

/// Sends the packets at the same time and judges what becomes of them. Gives those that did not fare as they should but
/// [may look so](Sent::may_look_kept) by chance; they are to be sent again.
fn try_packets(scene: &Scene, world: &World, packets: &[Sent<'_>]) -> Result<Vec<(usize, String)>, String> {
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let sending: Vec<_> = packets.iter().map(|packet| scope.spawn(|| packet.send(scene))).collect();
        sending.into_iter().map(|sending| sending.join().expect("no panic while sending")).collect()
    });
    let mut tracked = Vec::new();
    for family in Family::ALL {
        let lines = scene.node.conntrack(family).map_err(|error| error.to_string())?;
        tracked.extend(lines.iter().filter_map(|line| Tracked::parse(line)));
    }
    let mut unclear = Vec::new();
    for (index, (packet, outcome)) in packets.iter().zip(&outcomes).enumerate() {
        if let Err(problem) = packet.judge(scene, world, outcome, &tracked) {
            if packet.may_look_kept(world, outcome) {
                unclear.push((index, problem));
            } else {
                return Err(packet.explain(&problem));
            }
        }
    }
    Ok(unclear)
}

fn environment(world: &World, rules: &Rules, remembered: &[(&Packet, SocketAddr)]) -> Environment {
    let mut environment = Environment::default();
    environment.local.extend(&world.environment.local_addresses);
    for (packet, backend) in remembered {
        rules.tell(&mut environment, packet, *backend);
    }
    environment
}

fn check(scene: &Scene, (world, way, packets): &Case) -> Result<(), String> {
    let say = |error: svcnat_lab::Error| error.to_string();
    scene.forget_clients()?;
    scene.set_addresses(world).map_err(say)?;
    let rules = scene.install(world, *way)?;
    let remembered = rules.remembered(packets);
    scene.remember(&rules, &remembered)?;
    let environment = environment(world, &rules, &remembered);
    let mut waiting: Vec<&Packet> = packets.iter().collect();
    let mut explanations = String::new();
    for _ in 0..3 {
        let sent: Result<Vec<Sent<'_>>, String> =
            waiting.iter().map(|packet| Sent::new(scene, &rules, &environment, packet)).collect();
        let sent = sent?;
        let unclear = try_packets(scene, world, &sent)?;
        if unclear.is_empty() {
            return Ok(());
        }
        explanations.extend(unclear.iter().map(|(index, problem)| sent[*index].explain(problem)));
        waiting = unclear.iter().map(|(index, _)| waiting[*index]).collect();
    }
    Err(explanations)
}

fn run(network: PodNetwork) {
    let scene = Scene::new(network).expect("a network");
    let seed = match env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{SEED}={seed}: {error}")),
        Err(_) => RandomState::new().hash_one(0),
    };
    let config = ProptestConfig {
        cases: WORLDS,
        failure_persistence: None,
        max_shrink_time: 15_000, // milliseconds
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    };
    let result =
        TestRunner::new(config).run(&cases(&scene), |case| check(&scene, &case).map_err(TestCaseError::fail));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (world, way, _))) => {
            panic!("{SEED}={seed}, {network:?}, {way:?}: {reason}\n{world:#?}");
        }
        Err(TestError::Abort(reason)) => panic!("{SEED}={seed}, {network:?}: {reason}"),
    }
}

#[test]
fn real_packets_fare_as_simulated_ones_where_pods_are_routed() {
    run(PodNetwork::Routed);
}

#[test]
fn real_packets_fare_as_simulated_ones_where_pods_share_a_bridge() {
    run(PodNetwork::Bridged);
}
