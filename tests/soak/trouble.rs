//! What goes wrong: the API server, and the agent's own end.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use svcnat_apiserver::{Failure, Fault, On, Resource, Times};

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::random::Random;

const RESOURCES: [Resource; 4] =
    [Resource::Services, Resource::EndpointSlices, Resource::Nodes, Resource::ServiceCidrs];

pub struct Trouble {
    flags: Vec<String>,
    told: Vec<&'static str>,
    /// Whether open watches stay as they are until they are cut.
    lasting: bool,
}

impl Trouble {
    pub fn new(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { flags, told: Vec::new(), lasting: false }
    }

    /// What has gone wrong so far.
    pub fn told(&self) -> &[&'static str] {
        &self.told
    }

    /// An agent that is ready.
    pub fn start(&self, cluster: &Cluster) -> Agent {
        let agent = self.start_at_once(cluster);
        agent.until_ready();
        agent
    }

    fn start_at_once(&self, cluster: &Cluster) -> Agent {
        Agent::of(cluster, &self.flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Lets something go wrong, perhaps with the agent, in whose place there is another then.
    pub fn make(&mut self, agent: &mut Agent, cluster: &Cluster, random: &mut Random) {
        match random.below(4) {
            0 => self.break_agent(agent, cluster, random),
            1 => self.break_requests(cluster, random),
            2 => self.break_watches(cluster, random),
            _ => self.break_connections(cluster, random),
        }
    }

    fn break_agent(&mut self, agent: &mut Agent, cluster: &Cluster, random: &mut Random) {
        let pause = Duration::from_millis(random.below(800));
        let (name, signal, code) = *random.pick(&[
            ("SIGTERM", Signal::SIGTERM, Some(0)),
            ("SIGKILL", Signal::SIGKILL, None),
            ("SIGKILL", Signal::SIGKILL, None),
            ("SIGSTOP", Signal::SIGSTOP, None),
        ]);
        self.told.push(name);
        agent.signal(signal);
        if signal == Signal::SIGSTOP {
            sleep(pause);
            agent.signal(Signal::SIGCONT);
        } else {
            assert_eq!(agent.ended(), code, "{}", agent.log());
            *agent = self.start_at_once(cluster);
        }
    }

    /// The next requests are refused, and there are some.
    fn break_requests(&mut self, cluster: &Cluster, random: &mut Random) {
        self.told.push("refusals");
        let failures = [
            Failure::TooManyRequests { retry_after: 1 },
            Failure::InternalError,
            Failure::ServiceUnavailable,
            Failure::Expired,
        ];
        for resource in RESOURCES {
            let (times, failure) = (random.index(3), random.pick(&failures).clone());
            cluster.server.fault(On::resource(resource), Times::Next(times), Fault::Status(failure));
        }
        if random.once_in(2) {
            self.told.push("compaction");
            cluster.server.compact();
        }
        cluster.server.set_streaming_lists(random.once_in(2));
        cluster.server.restart();
    }

    fn break_watches(&mut self, cluster: &Cluster, random: &mut Random) {
        let after = random.index(3);
        let faults = [
            ("a cut", Fault::Cut { after }),
            ("410", Fault::ErrorEvent(Failure::Expired)),
            ("500", Fault::ErrorEvent(Failure::InternalError)),
            ("an end", Fault::End { after }),
            ("duplicates", Fault::Duplicate),
            ("stale events", Fault::Stale { changes: 2 }),
            ("slowness", Fault::Slow { bytes: 2_000, pause: Duration::from_millis(1) }),
            ("silence", Fault::Hang { after }),
        ];
        let (name, fault) = random.pick(&faults);
        self.told.push(name);
        self.lasting |= !matches!(fault, Fault::Cut { .. } | Fault::End { .. } | Fault::ErrorEvent(_));
        for resource in RESOURCES {
            if random.once_in(2) {
                cluster.server.disturb(resource, fault.clone());
            }
        }
    }

    fn break_connections(&mut self, cluster: &Cluster, random: &mut Random) {
        let pause = Duration::from_millis(random.below(1_200));
        match random.below(3) {
            0 => {
                self.told.push("a restart");
                cluster.server.restart();
            }
            1 => {
                self.told.push("absence");
                cluster.server.leave();
                sleep(pause);
                cluster.server.come_back().unwrap();
            }
            _ => {
                self.told.push("a network that loses all");
                cluster.server.freeze(true);
                sleep(pause);
                cluster.server.freeze(false);
            }
        }
    }

    /// Nothing goes wrong any more.
    pub fn end(&mut self, cluster: &Cluster) {
        cluster.server.clear_faults();
        if std::mem::take(&mut self.lasting) {
            cluster.server.restart();
        }
    }
}
