//! What a changed configuration means for an agent that runs.

use super::{Client, Settings};

/// What becomes of new settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Reload {
    /// The settings to go on with: the new ones, but for what needs a restart, which stays as it is.
    pub settings: Settings,
    /// The keys that changed and can take effect at once, by their names in the file; `rules` is all that shapes the rules.
    pub in_force: Vec<&'static str>,
    /// The keys that changed and take effect when the agent is started again.
    pub needs_restart: Vec<&'static str>,
}

impl Settings {
    /// Compares these settings, which an agent runs with, with new ones.
    #[must_use]
    pub fn reload(&self, new: &Self) -> Reload {
        let Self { client: Client { kubeconfig, master, qps, burst }, .. } = self;
        let restart = [
            ("mode", self.mode != new.mode),
            ("hostnameOverride", self.rules.node_name != new.rules.node_name),
            ("clientConnection.kubeconfig", *kubeconfig != new.client.kubeconfig),
            ("clientConnection.qps", *qps != new.client.qps),
            ("clientConnection.burst", *burst != new.client.burst),
            ("--master", *master != new.client.master),
            ("healthzBindAddress", self.healthz != new.healthz),
            ("metricsBindAddress", self.metrics != new.metrics),
            ("bindAddressHardFail", self.bind_hard_fail != new.bind_hard_fail),
            ("stateFile", self.state_file != new.state_file),
            ("ownTables", self.own_tables != new.own_tables),
            ("pageBindAddress", self.page != new.page),
        ];
        let settings = self.with_what_can_change(new);
        let at_once = [
            ("rules", self.rules != settings.rules),
            ("bindAddress", self.node_address != new.node_address),
            ("syncPeriod", self.sync_period != settings.sync_period),
            ("minSyncPeriod", self.min_sync_period != settings.min_sync_period),
            ("conntrack", self.conntrack != new.conntrack),
            ("oomScoreAdj", self.oom_score_adj != new.oom_score_adj),
            ("logging.verbosity", self.verbosity != new.verbosity),
            ("resetDeadConnections", self.reset_dead_connections != new.reset_dead_connections),
            ("countersSeries", self.counters_series != new.counters_series),
        ];
        let changed = |keys: &[(&'static str, bool)]| {
            keys.iter().filter(|(_, changed)| *changed).map(|(key, _)| *key).collect()
        };
        Reload { settings, in_force: changed(&at_once), needs_restart: changed(&restart) }
    }

    fn with_what_can_change(&self, new: &Self) -> Self {
        let mut settings = new.clone();
        settings.rules.node_name = self.rules.node_name.clone();
        if settings.mode != self.mode {
            settings.mode = self.mode;
            self.keep_what_the_mode_decides(&mut settings);
        }
        settings.client = self.client.clone();
        settings.healthz = self.healthz;
        settings.metrics = self.metrics;
        settings.bind_hard_fail = self.bind_hard_fail;
        settings.state_file.clone_from(&self.state_file);
        settings.own_tables = self.own_tables;
        settings.page = self.page;
        settings
    }

    /// Where node ports are served by default, the section of the file that is read, and whether connections can be counted
    /// depend on the mode, so what the file says of them counts together with its mode.
    fn keep_what_the_mode_decides(&self, settings: &mut Self) {
        settings.rules.node_port_addresses.clone_from(&self.rules.node_port_addresses);
        settings.rules.masquerade_all = self.rules.masquerade_all;
        settings.rules.masquerade_bit = self.rules.masquerade_bit;
        settings.rules.counters = self.rules.counters;
        settings.sync_period = self.sync_period;
        settings.min_sync_period = self.min_sync_period;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use svcnat_rules::name::Name;

    use super::*;
    use crate::settings::{OwnTables, Source};

    /// What `change` of the defaults comes to, as the keys in force and those that need a restart.
    #[track_caller]
    fn check(change: impl Fn(&mut Settings), in_force: &[&str], needs_restart: &[&str]) {
        let mut old = Source::default().load().unwrap().settings;
        old.rules.node_name = Name::from("old");
        let mut new = old.clone();
        change(&mut new);
        let reload = old.reload(&new);
        assert_eq!((reload.in_force.as_slice(), reload.needs_restart.as_slice()), (in_force, needs_restart));
        // What went into force is no difference any more; what needs a restart still is.
        let again = reload.settings.reload(&new);
        assert_eq!((again.in_force.len(), again.needs_restart), (0, reload.needs_restart));
        assert_eq!(reload.settings == old, in_force.is_empty());
        assert_eq!(reload.settings == new, needs_restart.is_empty());
    }

    #[test]
    fn another_mode_waits_for_a_restart_with_all_that_depends_on_it() {
        let load = |body: &str| {
            let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nhostnameOverride: n\n";
            Source::default().load_text("config.yaml", &format!("{head}{body}")).unwrap().settings
        };
        let sections = "nftables: {masqueradeBit: 3, syncPeriod: 7s, minSyncPeriod: 1s}\n\
                        iptables: {masqueradeAll: true, masqueradeBit: 5, syncPeriod: 9s, minSyncPeriod: 2s}\n";
        let of_mode = |mode: &str| load(&format!("mode: {mode}\n{sections}"));
        for (running, written) in [("nftables", "iptables"), ("iptables", "nftables")] {
            let (running, written) = (of_mode(running), of_mode(written));
            assert_ne!(running.rules.node_port_addresses, written.rules.node_port_addresses);
            let reload = running.reload(&written);
            assert_eq!((reload.in_force, reload.needs_restart), (vec![], vec!["mode"]));
            assert_eq!(reload.settings, running);
        }
        // What no mode decides takes effect.
        let new = load(&format!("mode: iptables\n{sections}detectLocalMode: NodeCIDR\n"));
        assert_eq!(of_mode("nftables").reload(&new).in_force, ["rules"]);
    }

    #[test]
    fn each_change_is_named_and_in_force_as_far_as_it_can_be() {
        check(|_| {}, &[], &[]);
        check(|new| new.rules.masquerade_all = true, &["rules"], &[]);
        check(|new| new.node_address = Some([192, 0, 2, 1].into()), &["bindAddress"], &[]);
        check(|new| new.sync_period = Duration::from_secs(1), &["syncPeriod"], &[]);
        check(|new| new.min_sync_period = Duration::from_secs(1), &["minSyncPeriod"], &[]);
        check(|new| new.conntrack.min = 1, &["conntrack"], &[]);
        check(|new| new.oom_score_adj = 7, &["oomScoreAdj"], &[]);
        check(|new| new.verbosity = 4, &["logging.verbosity"], &[]);
        check(|new| new.reset_dead_connections = true, &["resetDeadConnections"], &[]);
        check(|new| new.counters_series = 7, &["countersSeries"], &[]);
        check(|new| new.rules.node_name = Name::from("new"), &[], &["hostnameOverride"]);
        check(|new| new.client.kubeconfig = Some("/x".into()), &[], &["clientConnection.kubeconfig"]);
        check(|new| new.client.qps = 1.0, &[], &["clientConnection.qps"]);
        check(|new| new.client.burst = 1, &[], &["clientConnection.burst"]);
        check(|new| new.client.master = Some("x".to_owned()), &[], &["--master"]);
        check(|new| new.healthz = None, &[], &["healthzBindAddress"]);
        check(|new| new.metrics = None, &[], &["metricsBindAddress"]);
        check(|new| new.bind_hard_fail = true, &[], &["bindAddressHardFail"]);
        check(|new| new.state_file = Some("/x".into()), &[], &["stateFile"]);
        check(|new| new.own_tables = OwnTables::Never, &[], &["ownTables"]);
        check(|new| new.page = Some(([127, 0, 0, 1], 10_247).into()), &[], &["pageBindAddress"]);
        let both = |new: &mut Settings| {
            new.rules.node_name = Name::from("new");
            new.rules.masquerade_bit = 3;
        };
        check(both, &["rules"], &["hostnameOverride"]);
    }
}
