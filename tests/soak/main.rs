//! The agent for a long time: a cluster that changes all the while, an API server that misbehaves, agents that are killed, and
//! clients that connect to Services which have a ready backend all along. After every quiet moment the kernel equals the
//! full compile, and no connection ever fails.
//!
//! `make soak` runs it for ten minutes with 2,000 Services, `cargo test` for less than one with fewer. In the environment:
//! `SOAK_SECONDS`, `SOAK_SERVICES`, and `SOAK_SEED` for the same changes and faults again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy does not see that helpers are tests"
)]

#[path = "../agent_support/mod.rs"]
mod agent_support;
mod churn;
mod clients;
mod random;
mod scene;
mod trouble;

use std::env;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use agent_support::agent::Agent;
use agent_support::cluster::Cluster;
use agent_support::http::{metric, repairs};
use churn::Churn;
use clients::Clients;
use random::Random;
use scene::Scene;
use trouble::Trouble;

/// A number from the environment.
fn number<T: FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    }
}

/// How long changes and faults follow each other before the next quiet moment.
const ROUND: Duration = Duration::from_secs(4);

#[test]
fn no_connection_fails_and_the_kernel_equals_the_full_compile() {
    let time = Duration::from_secs(number("SOAK_SECONDS", 25));
    let services = number("SOAK_SERVICES", 500);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("SOAK_SEED", now.as_secs());
    println!("SOAK_SEED={seed} SOAK_SERVICES={services} SOAK_SECONDS={}", time.as_secs());
    let scene = Scene::new().unwrap();
    scene.node.run(|| soak(&scene, time, services, seed));
}

fn soak(scene: &Scene, time: Duration, services: usize, seed: u64) {
    let mut random = Random::new(seed);
    // A change of the layout is the one thing that a packet may notice, so there is one layout at a time.
    let layout = if random.below(2) == 0 { "chains" } else { "maps" };
    let churn = Churn::new(services, scene);
    let mut cluster = Cluster::of(churn.objects(&mut random));
    let mut trouble = Trouble::new(&["--layout", layout]);
    let mut agent = trouble.start(&cluster);
    let clients = Clients::new(scene);
    let (began, mut rounds, mut changes) = (Instant::now(), 0, 0);
    std::thread::scope(|scope| {
        let _running = clients.start(scope);
        while began.elapsed() < time && clients.failures().is_empty() {
            let round = Instant::now();
            while round.elapsed() < ROUND {
                for _ in 0..=random.below(20) {
                    churn.change(&mut cluster, &mut random);
                    changes += 1;
                }
                sleep(Duration::from_millis(random.below(60)));
                if random.below(20) == 0 {
                    trouble.make(&mut agent, &cluster, &mut random);
                }
            }
            trouble.end(&cluster);
            quiet(&agent, &cluster, &trouble, seed);
            rounds += 1;
        }
    });
    println!(
        "{layout}: {rounds} rounds, {changes} changes, {} faults, {} connections; {:?}",
        trouble.told().len(),
        clients.connections(),
        began.elapsed()
    );
    assert_eq!(clients.failures(), Vec::<String>::new(), "SOAK_SEED={seed} {layout}\n{}", agent.log());
    assert!(clients.connections() > 100, "the clients have not connected");
    assert!(rounds > 0 && changes > 0 && !trouble.told().is_empty());
    agent.stop();
}

/// Nothing changes any more: the kernel comes to what the cluster is, and has not needed to be mended on the way.
fn quiet(agent: &Agent, cluster: &Cluster, trouble: &Trouble, seed: u64) {
    agent.until(&format!("SOAK_SEED={seed}: ready after {:?}", trouble.told()), || {
        agent_support::holds(agent_support::http::status("/readyz") == Some(200), "it is not")
    });
    agent.until_equal(&cluster.objects);
    let failures = metric("svcnat_transaction_failures_total");
    assert_eq!((failures, repairs()), (0.0, 0.0), "SOAK_SEED={seed} {:?}\n{}", trouble.told(), agent.log());
}
