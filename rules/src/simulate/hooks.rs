//! The way of a packet from hook to hook.

use super::chain_walk::Walk;
use super::flow::{Flows, Manip, Mapping, Transit, Way, Ways};
use super::trace::Trail;
use super::{
    Connection, Delivery, Environment, Fate, Origin, Outcome, Packet, Probability, Receiver, SimulateError,
    Step,
};
use crate::name::Name;
use crate::ruleset::{BaseHook, Chain, ChainType, Hook};

/// The priority at which the kernel translates destinations (`NF_IP_PRI_NAT_DST`) and consults the nat chains for
/// them, whatever their own priorities are; these order them among each other only.
const NAT_DESTINATION: i32 = -100;
/// The same for sources (`NF_IP_PRI_NAT_SRC`).
const NAT_SOURCE: i32 = 100;

/// The interface of packets from this host to itself.
const LOOPBACK: &str = "lo";

type BaseChain<'a> = (&'a Name, &'a Chain, BaseHook);

/// A packet's passage through the hooks, which is the same for nftables and iptables.
pub(crate) trait Passage<T: Trail> {
    /// The packet.
    fn packet(&self) -> &Packet;

    /// The host.
    fn environment(&self) -> &Environment;

    /// The outcomes so far.
    fn outcomes(&mut self) -> &mut Ways<Outcome, T>;

    /// Sends packets through the rules of a hook and gives those that pass it.
    fn hook(&mut self, hook: Hook, flows: Flows<T>) -> Result<Flows<T>, SimulateError>;

    /// Sends the packet through all its hooks; afterwards all outcomes are known.
    fn run(&mut self) -> Result<(), SimulateError> {
        let mut flows = Flows::default();
        let way = Way { probability: Probability::certain(), trail: T::default() };
        flows.add(Transit::new(self.packet()), way);
        match self.packet().origin {
            Origin::Network { .. } => self.arrive(flows),
            Origin::Host => self.leave(flows),
        }
    }

    /// A packet comes in through an interface.
    fn arrive(&mut self, flows: Flows<T>) -> Result<(), SimulateError> {
        let flows = self.hook(Hook::Prerouting, flows)?;
        let (here, elsewhere) = self.route(flows);
        let here = self.hook(Hook::Input, here)?;
        self.deliver(here, Receiver::Host);
        let elsewhere = self.hook(Hook::Forward, elsewhere)?;
        let elsewhere = self.hook(Hook::Postrouting, elsewhere)?;
        self.deliver(elsewhere, Receiver::Network);
        Ok(())
    }

    /// A process of this host sends a packet. One for this host itself leaves and comes in again, with the connection
    /// that it has begun: still a new one, but both translations are decided, so that no nat chain is consulted again.
    fn leave(&mut self, flows: Flows<T>) -> Result<(), SimulateError> {
        let flows = self.hook(Hook::Output, flows)?;
        let (here, elsewhere) = self.route(flows);
        let elsewhere = self.hook(Hook::Postrouting, elsewhere)?;
        self.deliver(elsewhere, Receiver::Network);
        let here = self.hook(Hook::Postrouting, here)?;
        let here =
            here.map(|transit, _| Transit { interface: Some(LOOPBACK.into()), confirmed: true, ..transit });
        let here = self.hook(Hook::Prerouting, here)?;
        let here = self.hook(Hook::Input, here)?;
        self.deliver(here, Receiver::Host);
        Ok(())
    }

    /// Parts the packets for this host from those for others.
    fn route(&self, flows: Flows<T>) -> (Flows<T>, Flows<T>) {
        let is_local = |transit: &Transit| self.environment().is_local(transit.destination.ip());
        let flows = flows.map(|transit, trail| {
            let receiver = if is_local(&transit) { Receiver::Host } else { Receiver::Network };
            trail.push(|| Step::Route(receiver));
            transit
        });
        flows.partition(is_local)
    }

    fn deliver(&mut self, flows: Flows<T>, to: Receiver) {
        for (transit, way) in flows {
            let delivery = Delivery {
                to,
                destination: transit.destination,
                dnat: transit.dnat == Mapping::Changed,
                masqueraded: transit.snat == Mapping::Changed,
            };
            self.outcomes().add(Outcome { fate: Fate::Delivered(delivery), effects: transit.effects }, way);
        }
    }

    /// Translates the packets that have passed the nat rules of a hook; whose translation no rule has decided on, it stays
    /// as it is.
    fn translated(&self, manip: Manip, flows: Flows<T>) -> Flows<T> {
        flows.map(|mut transit, _| {
            transit.keep(manip);
            self.translate_established(manip, &mut transit);
            transit
        })
    }

    /// Packets of an established connection are translated as its first one was.
    fn translate_established(&self, manip: Manip, transit: &mut Transit) {
        let Connection::Established { dnat, masqueraded } = self.packet().connection else { return };
        match (manip, dnat) {
            (Manip::Destination, Some(destination)) => transit.destination = destination,
            (Manip::Source, _) if masqueraded => transit.masquerade(self.environment()),
            _ => {}
        }
    }
}

impl<T: Trail> Passage<T> for Walk<'_, T> {
    fn packet(&self) -> &Packet {
        self.packet
    }

    fn environment(&self) -> &Environment {
        self.environment
    }

    fn outcomes(&mut self) -> &mut Ways<Outcome, T> {
        &mut self.outcomes
    }

    fn hook(&mut self, hook: Hook, mut flows: Flows<T>) -> Result<Flows<T>, SimulateError> {
        if flows.is_empty() {
            return Ok(flows);
        }
        let (nat, filters) = self.base_chains(hook);
        let Some(manip) = Manip::of(hook) else {
            if let Some((chain, ..)) = nat.first() {
                return Err(SimulateError::NatAtForward { chain: (*chain).clone() });
            }
            return self.through(&filters, flows);
        };
        let nat_priority = match manip {
            Manip::Destination => NAT_DESTINATION,
            Manip::Source => NAT_SOURCE,
        };
        let before = filters.partition_point(|(.., base)| base.priority < nat_priority);
        let (before, after) = filters.split_at(before);
        flows = self.through(before, flows)?;
        flows = self.translate(manip, &nat, flows)?;
        self.through(after, flows)
    }
}

impl<'a, T: Trail> Walk<'a, T> {
    /// The base chains of a hook by their priorities: the nat chains, and all others.
    fn base_chains(&self, hook: Hook) -> (Vec<BaseChain<'a>>, Vec<BaseChain<'a>>) {
        let chains = self.table.chains.iter();
        let mut chains: Vec<BaseChain<'a>> = chains
            .filter_map(|(name, chain)| chain.hook.map(|base| (name, chain, base)))
            .filter(|(.., base)| base.hook == hook)
            .collect();
        chains.sort_by_key(|(.., base)| base.priority);
        chains.into_iter().partition(|(.., base)| base.kind == ChainType::Nat)
    }

    fn through(&mut self, chains: &[BaseChain<'a>], flows: Flows<T>) -> Result<Flows<T>, SimulateError> {
        chains.iter().try_fold(flows, |flows, (name, chain, base)| self.base_chain(name, chain, *base, flows))
    }

    /// What the kernel's nat does at a hook (`nf_nat_inet_fn`): where the hook's translation is not decided yet, the
    /// chains are asked one after the other until one decides; then the packet is translated.
    fn translate(
        &mut self,
        manip: Manip,
        chains: &[BaseChain<'a>],
        flows: Flows<T>,
    ) -> Result<Flows<T>, SimulateError> {
        let undecided = |transit: &Transit| transit.mapping(manip) == Mapping::Undecided;
        let (mut asking, mut decided) = flows.partition(undecided);
        for (name, chain, base) in chains {
            let (next, done) = self.base_chain(name, chain, *base, asking)?.partition(undecided);
            asking = next;
            decided.add_all(done);
        }
        decided.add_all(asking);
        Ok(self.translated(manip, decided))
    }
}
