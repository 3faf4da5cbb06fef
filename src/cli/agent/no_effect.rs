//! kube-proxy's flags that have no effect here.

use clap::Args;

/// Flags of kube-proxy that are accepted and told of once, so that its command line serves svcnat too.
#[derive(Debug, Args)]
#[command(next_help_heading = "Flags of kube-proxy without effect")]
pub(super) struct NoEffectFlags {
    /// Content type of requests: svcnat talks JSON
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    kube_api_content_type: Option<String>,
    /// How often kube-proxy lists everything again
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    config_sync_period: Option<String>,
    /// kube-proxy's profiling handlers
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    profiling: Option<String>,
    /// The version whose hidden metrics kube-proxy shows
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    show_hidden_metrics_for_version: Option<String>,
    /// Node ports on loopback addresses
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    iptables_localhost_nodeports: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_exclude_cidrs: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_min_sync_period: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_scheduler: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    ipvs_strict_arp: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_sync_period: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_tcpfin_timeout: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_tcp_timeout: Option<String>,
    /// Of kube-proxy's mode ipvs
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    ipvs_udp_timeout: Option<String>,
    /// The format of the log: svcnat logs text
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    logging_format: Option<String>,
    /// How long kube-proxy buffers its log
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    log_flush_frequency: Option<String>,
    /// The buffer of kube-proxy's log
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    log_json_info_buffer_size: Option<String>,
    /// Where kube-proxy's log goes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    log_json_split_stream: Option<String>,
    /// The buffer of kube-proxy's log
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    log_text_info_buffer_size: Option<String>,
    /// Where kube-proxy's log goes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    log_text_split_stream: Option<String>,
    /// Levels of the log by kube-proxy's source files
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    vmodule: Option<String>,
    /// Where kube-proxy looks for the boot ID
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    boot_id_file: Option<String>,
    /// Where kube-proxy looks for the machine ID
    #[arg(long, value_name = "VALUE", hide_short_help = true)]
    machine_id_file: Option<String>,
}

impl NoEffectFlags {
    /// The flags that were given, without the dashes.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let all = [
            ("kube-api-content-type", &self.kube_api_content_type),
            ("config-sync-period", &self.config_sync_period),
            ("profiling", &self.profiling),
            ("show-hidden-metrics-for-version", &self.show_hidden_metrics_for_version),
            ("iptables-localhost-nodeports", &self.iptables_localhost_nodeports),
            ("ipvs-exclude-cidrs", &self.ipvs_exclude_cidrs),
            ("ipvs-min-sync-period", &self.ipvs_min_sync_period),
            ("ipvs-scheduler", &self.ipvs_scheduler),
            ("ipvs-strict-arp", &self.ipvs_strict_arp),
            ("ipvs-sync-period", &self.ipvs_sync_period),
            ("ipvs-tcpfin-timeout", &self.ipvs_tcpfin_timeout),
            ("ipvs-tcp-timeout", &self.ipvs_tcp_timeout),
            ("ipvs-udp-timeout", &self.ipvs_udp_timeout),
            ("logging-format", &self.logging_format),
            ("log-flush-frequency", &self.log_flush_frequency),
            ("log-json-info-buffer-size", &self.log_json_info_buffer_size),
            ("log-json-split-stream", &self.log_json_split_stream),
            ("log-text-info-buffer-size", &self.log_text_info_buffer_size),
            ("log-text-split-stream", &self.log_text_split_stream),
            ("vmodule", &self.vmodule),
            ("boot-id-file", &self.boot_id_file),
            ("machine-id-file", &self.machine_id_file),
        ];
        all.into_iter().filter(|(_, value)| value.is_some()).map(|(flag, _)| flag).collect()
    }
}
