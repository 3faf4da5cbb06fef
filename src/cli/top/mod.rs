//! `svcnat top`: where new connections go, as it happens.

mod batch;
mod columns;
mod keys;
mod listing;
mod meter;
mod model;
mod reader;
mod run;
mod source;
mod terminal;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use svcnat_rules::name::ObjectName;

use self::model::Model;
use self::source::Place;
use self::view::Palette;
use super::Failure;
use super::backends::service;
use super::output::is_coloured;
use crate::agent_api::SOCKET;

const NOTES: &str = "\
Columns:
  CONN/S   new connections in a second, since the last look
  SHARE    how much of all connections that is; of a backend, of those to the same service port
  TOTAL    new connections since the frontend is there
  HISTORY  CONN/S of the latest looks, the newest at the right; each row has a scale of its own
  -        not known

What is counted is first packets of connections to Services, translated on this node. Keys: h shows them.

Examples:
  svcnat top
  svcnat top -n shop -d 5
  svcnat top shop/web --kernel
  svcnat top --batch --count 1";

/// Show which Services and backends new connections go to, as it happens
///
/// The agent is asked, or with --kernel the kernel, which counts for agents and apply with --counters.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Top {
    /// Begin with the backends of this Service: NAMESPACE/NAME, or NAME in the namespace of -n, else in default
    #[arg(value_parser = service)]
    service: Option<String>,
    /// Only the Services of this namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The time between two looks
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = delay)]
    delay: Duration,
    /// Print tables, one after the other, instead of drawing on the terminal
    #[arg(short, long)]
    batch: bool,
    /// With --batch: end after so many tables
    #[arg(short, long, value_name = "COUNT", requires = "batch")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The Unix socket of the agent, which is asked
    #[arg(long, value_name = "PATH", default_value = SOCKET, conflicts_with = "kernel")]
    socket: PathBuf,
    /// Read the kernel's own counts, without an agent
    ///
    /// Where backends are is then not known; all rules are read where they have changed.
    #[arg(long)]
    kernel: bool,
}

/// Shorter times would show little but chance, and longer ones nothing.
fn delay(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|delay| (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(delay))
        .ok_or_else(|| "must be a number of seconds from 0.1 to 3600".to_owned())
}

impl Top {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let in_namespace = self.namespace.as_deref().unwrap_or("default");
        let service = self
            .service
            .as_ref()
            .map(|text| ObjectName::parse(text).unwrap_or_else(|| ObjectName::new(in_namespace, text)));
        let socket = (!self.kernel).then(|| self.socket.clone());
        let place = Place { socket, namespace: self.namespace.clone() };
        let model = Model::new(self.delay, self.namespace.clone(), service);
        if self.batch {
            return batch::run(model, &place, self.count);
        }
        terminal::check()?;
        run::run(model, place, Palette { coloured: is_coloured() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_neither_too_short_nor_too_long() {
        for (text, expected) in [
            ("1", Some(1_000)),
            ("0.1", Some(100)),
            ("2.5", Some(2_500)),
            ("3600", Some(3_600_000)),
            ("0.05", None),
            ("0", None),
            ("-1", None),
            ("3601", None),
            ("1e300", None),
            ("NaN", None),
            ("inf", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(delay(text).ok(), expected.map(Duration::from_millis), "{text:?}");
        }
    }
}
