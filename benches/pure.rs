//! Benchmarks of what needs no kernel: compile, compare, print, encode.

mod cluster;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use svcnat::netlink::{Options, encode};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::compile;
use svcnat_rules::config::Layout;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::iptables;
use svcnat_rules::layout::Slots;
use svcnat_rules::net::Protocol;
use svcnat_rules::nft;
use svcnat_rules::ruleset::Ruleset;

use cluster::{Maker, Size, config};

const LAYOUTS: [(&str, Layout); 2] = [("maps", Layout::Maps), ("chains", Layout::Chains)];

const SIZES: [Size; 3] = [
    Size { services: 100, backends: 10 },
    Size { services: 1_000, backends: 10 },
    Size { services: 10_000, backends: 10 },
];

fn clusters() -> Vec<(Size, Cluster)> {
    SIZES.into_iter().map(|size| (size, Maker::new(size, Protocol::Tcp).cluster())).collect()
}

/// Measures how long it takes to make something large, without the time to drop it.
fn large<T>(bencher: &mut Bencher<'_>, mut make: impl FnMut() -> T) {
    bencher.iter_batched(|| (), |()| make(), BatchSize::PerIteration);
}

fn compiles(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    for (size, cluster) in clusters() {
        for (name, layout) in LAYOUTS {
            let config = config(layout);
            let id = BenchmarkId::new(name, size);
            group.bench_function(id, |bencher| {
                large(bencher, || compile(black_box(&cluster), &config, &Slots::default()));
            });
        }
        let config = config(Layout::Auto);
        group.bench_function(BenchmarkId::new("iptables", size), |bencher| {
            large(bencher, || iptables::compile(black_box(&cluster), &config));
        });
    }
}

/// Measures something for a ruleset of each size and layout.
fn for_rulesets(criterion: &mut Criterion, what: &str, measure: impl Fn(&Ruleset, &mut Bencher<'_>)) {
    let mut group = criterion.benchmark_group(what);
    for (size, cluster) in clusters() {
        for (name, layout) in LAYOUTS {
            let compiled = compile(&cluster, &config(layout), &Slots::default());
            group.bench_function(BenchmarkId::new(name, size), |bencher| measure(&compiled.ruleset, bencher));
        }
    }
}

fn diffs(criterion: &mut Criterion) {
    for_rulesets(criterion, "diff of equal rulesets", |ruleset, bencher| {
        let installed = Installed::from(ruleset);
        bencher.iter(|| diff(black_box(ruleset), black_box(&installed)).is_empty());
    });
}

fn prints(criterion: &mut Criterion) {
    for_rulesets(criterion, "print", |ruleset, bencher| {
        large(bencher, || nft::script(black_box(ruleset), &[]).to_string());
    });
}

fn encodes(criterion: &mut Criterion) {
    for_rulesets(criterion, "encode", |ruleset, bencher| {
        let nothing = Installed::default();
        let transaction = diff(ruleset, &nothing);
        large(bencher, || encode(black_box(&transaction), &Options::default()));
    });
}

criterion_group! {
    name = pure;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = compiles, diffs, prints, encodes
}
criterion_main!(pure);
