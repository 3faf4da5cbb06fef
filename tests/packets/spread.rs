//! How connections spread over backends: evenly, which a chi-square test decides.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::thread;

use serde_json::json;
use svcnat_lab::{Family, Host, Lab, Probe, Protocol, Result};

use crate::manifests::{Backend, PORT, cluster_ip, service, slices};
use crate::stage::{WAYS, apply, backend, serve};

/// The numbers of backends that are tried: one more than a power of two, where the layout `maps` is least even, and one
/// less. They are odd, so that the degrees of freedom are even, see [`ChiSquare::p_value`].
const SIZES: [u8; 3] = [3, 5, 7];

/// How many connections are counted for each.
const CONNECTIONS: u16 = 2100;

/// An even spread is less even than this once in 10^8 cases, of which a run has 24.
const SIGNIFICANCE: f64 = 1e-8;

/// Pearson's test of whether all categories are equally likely.
#[derive(Debug, Clone, PartialEq)]
struct ChiSquare {
    counts: Vec<usize>,
    statistic: f64,
}

impl ChiSquare {
    fn new(counts: Vec<usize>) -> Self {
        let total: usize = counts.iter().sum();
        let expected = total as f64 / counts.len() as f64;
        let statistic = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        Self { counts, statistic }
    }

    /// How likely a statistic as large as this one is by chance. For an even number 2m of degrees of freedom the
    /// distribution has a closed form: exp(-x/2) times the first m terms of the series of exp(x/2).
    fn p_value(&self) -> f64 {
        let degrees = self.counts.len() - 1;
        assert!(degrees > 0 && degrees.is_multiple_of(2), "{degrees} degrees of freedom");
        let half = self.statistic / 2.0;
        let terms = (1..degrees / 2).scan(1.0, |term, k| {
            *term *= half / k as f64;
            Some(*term)
        });
        (-half).exp() * (1.0 + terms.sum::<f64>())
    }
}

impl fmt::Display for ChiSquare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, degrees) = (&self.counts, self.counts.len() - 1);
        write!(
            f,
            "{counts:?}: chi-square {:.2}, {degrees} degrees of freedom, p = {:.2e}",
            self.statistic,
            self.p_value()
        )
    }
}

#[test]
fn the_test_tells_even_from_uneven() {
    let check = |counts: &[usize], statistic: f64, p_value: f64| {
        let test = ChiSquare::new(counts.to_vec());
        assert!((test.statistic - statistic).abs() < 1e-9, "{test}");
        assert!((test.p_value() / p_value - 1.0).abs() < 1e-3, "{test}");
    };
    check(&[700, 700, 700], 0.0, 1.0);
    // The critical values of the usual tables, for 2, 4 and 6 degrees of freedom.
    for (sizes, at_5_percent, at_1_permille) in
        [(3, 5.991_465, 13.815_51), (5, 9.487_729, 18.466_83), (7, 12.591_587, 22.457_74)]
    {
        for (statistic, p_value) in [(at_5_percent, 0.05), (at_1_permille, 0.001)] {
            let test = ChiSquare { counts: vec![0; sizes], statistic };
            assert!((test.p_value() / p_value - 1.0).abs() < 1e-3, "{test}");
        }
    }
    // What is to be found out: one backend is forgotten, or gets half as much again as the others.
    assert!(ChiSquare::new(vec![1050, 1050, 0]).p_value() < SIGNIFICANCE);
    assert!(ChiSquare::new(vec![280, 280, 280, 280, 420, 280, 280]).p_value() < SIGNIFICANCE);
}

/// Connects from one port after the other, beginning with this one, and counts the answers of each backend.
fn count(
    client: &Host,
    protocol: Protocol,
    to: SocketAddr,
    first: u16,
    backends: &[Backend<'_>],
) -> Vec<usize> {
    let mut counts: BTreeMap<String, usize> =
        backends.iter().map(|backend| (backend.pod.to_owned(), 0)).collect();
    let ask = |port| client.probe(&Probe::new(protocol, to).from_port(port));
    for outcome in (first..first + CONNECTIONS).map(ask) {
        let count = outcome.answered_by().and_then(|pod| counts.get_mut(pod));
        *count.unwrap_or_else(|| panic!("{to} by {protocol}: {outcome}")) += 1;
    }
    counts.into_values().collect()
}

#[test]
fn connections_spread_evenly_over_backends() -> Result<()> {
    let lab = Lab::new()?;
    let node = lab.node("node-a")?;
    let client = node.pod("client")?;
    let pods = (1..=7).map(|number| node.pod(&format!("web-{number}"))).collect::<Result<Vec<Host>>>()?;
    pods.iter().try_for_each(serve)?;
    let backends: Vec<Backend<'_>> = pods.iter().map(|pod| backend(pod, "node-a")).collect();
    let of_size = |size: u8| &backends[..usize::from(size)];
    let objects: Vec<_> = SIZES
        .into_iter()
        .flat_map(|size| {
            let name = format!("web-{size}");
            let mut objects = slices(&name, of_size(size));
            objects.push(service(&name, size, &json!({})));
            objects
        })
        .collect();
    for (layout, first) in WAYS.into_iter().zip([10_000, 20_000, 40_000, 50_000]) {
        apply(&node, "node-a", layout, &objects)?;
        thread::scope(|scope| {
            for (family, protocol) in [(Family::Ipv4, Protocol::Tcp), (Family::Ipv6, Protocol::Udp)] {
                let client = &client;
                scope.spawn(move || {
                    for size in SIZES {
                        let to = SocketAddr::new(cluster_ip(size).of(family), PORT);
                        let test = ChiSquare::new(count(client, protocol, to, first, of_size(size)));
                        assert!(test.p_value() > SIGNIFICANCE, "{layout}, {protocol} over {family}: {test}");
                    }
                });
            }
        });
    }
    Ok(())
}
