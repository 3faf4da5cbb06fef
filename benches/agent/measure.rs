//! What is measured of the agent.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use svcnat_lab::Namespace;

use crate::Result;
use crate::agent::{Agent, clean_up};
use crate::cluster::Size;
use crate::common::process::{Memory, run, stolen_time};
use crate::common::progress::Progress;
use crate::histogram::Histogram;
use crate::options::{Effective, Options};
use crate::sample::Samples;
use crate::server::Server;

/// How long an agent is left alone after its start until its memory is looked at.
const SETTLED: Duration = Duration::from_secs(15);
/// How long the kernel takes at most to get rid of rules, on threads of its own.
const KERNEL_CLEANS: Duration = Duration::from_secs(2);

/// Everything that was measured.
pub struct Results {
    /// The size of the cluster.
    pub size: Size,
    /// From nothing in the kernel and no state file.
    pub first: Starts,
    /// With the rules in the kernel and no state file.
    pub again: Starts,
    /// With the rules in the kernel and a state file.
    pub from_file: Starts,
    /// What changes cost.
    pub changes: Changes,
}

/// What was measured of starts of one kind.
pub struct Starts {
    /// From the start of the process to the first complete ruleset.
    pub times: Samples,
    /// The processor time of that, of the last one.
    pub processor: Duration,
    /// The memory at that moment, of the last one.
    pub memory: Memory,
    /// The memory some seconds later.
    pub settled: Memory,
}

/// What was measured of changes.
pub struct Changes {
    /// How many there were.
    pub count: usize,
    /// How many there were in a second.
    pub per_second: f64,
    /// From being read to being in force.
    pub latencies: Histogram,
    /// The processor time for all of them.
    pub processor: Duration,
    /// The share of the processors' time that they had work for and the machine's host gave to others meanwhile.
    pub stolen: f64,
    /// The memory afterwards.
    pub memory: Memory,
}

/// Measures everything.
pub fn measure(options: &Options) -> Result<Results> {
    let effective = options.effective();
    // Three kinds of starts, and the changes.
    let scene = Scene::new(effective, Progress::of(3 * effective.starts + 1)?)?;
    let mut server = scene.namespace.run(|| Server::start(effective.size, &scene.kubeconfig))?;
    let first = scene.starts("with an empty kernel", || {
        clean_up(&scene.namespace)?;
        thread::sleep(KERNEL_CLEANS);
        scene.forget_state()
    })?;
    let again = scene.starts("with an unchanged kernel", || scene.forget_state())?;
    let from_file = scene.starts("from the state file", || Ok(()))?;
    let changes = scene.changes(&mut server)?;
    Ok(Results { size: effective.size, first, again, from_file, changes })
}

/// Where everything happens.
struct Scene {
    effective: Effective,
    progress: Progress,
    namespace: Namespace,
    kubeconfig: PathBuf,
    state_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(effective: Effective, progress: Progress) -> Result<Self> {
        let namespace = Namespace::new()?;
        namespace.run(|| run("ip", &["link", "set", "lo", "up"]))?;
        let folder = tempfile::tempdir()?;
        let place = |name: &str| folder.path().join(name);
        Ok(Self {
            effective,
            progress,
            namespace,
            kubeconfig: place("kubeconfig"),
            state_file: place("state"),
            _folder: folder,
        })
    }

    fn forget_state(&self) -> Result<()> {
        match fs::remove_file(&self.state_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn agent(&self) -> Result<Agent<'_>> {
        Agent::start(&self.namespace, &self.kubeconfig, &self.state_file)
    }

    /// Starts agents one after the other, each after `prepare`.
    fn starts(&self, how: &str, mut prepare: impl FnMut() -> Result<()>) -> Result<Starts> {
        let mut times = Samples::default();
        for number in 1.. {
            let Effective { size, starts, .. } = self.effective;
            self.progress.phase(format_args!("{size}: start {how}, {number} of {starts}"));
            prepare()?;
            let agent = self.agent()?;
            times.push(agent.start);
            if number < self.effective.starts {
                continue;
            }
            let (memory, processor) = (agent.memory()?, agent.processor_time()?);
            thread::sleep(SETTLED);
            return Ok(Starts { times, processor, memory, settled: agent.memory()? });
        }
        Err("no start".into())
    }

    fn changes(&self, server: &mut Server) -> Result<Changes> {
        let Effective { size, changes: count, per_second, .. } = self.effective;
        self.progress.phase(format_args!("{size}: {count} changes, {per_second} in a second"));
        self.forget_state()?;
        let agent = self.agent()?;
        thread::sleep(SETTLED);
        let before = agent.latencies()?;
        let processor = agent.processor_time()?;
        let (began, stolen) = (Instant::now(), stolen_time()?);
        server.change(count, per_second)?;
        let after = agent.wait_for_changes(before.count() + u64::try_from(count)?)?;
        let processors = thread::available_parallelism()?.get();
        let available = began.elapsed() * u32::try_from(processors)?;
        Ok(Changes {
            stolen: stolen_time()?.saturating_sub(stolen).div_duration_f64(available),
            count,
            per_second,
            latencies: after.since(&before),
            processor: agent.processor_time()? - processor,
            memory: agent.memory()?,
        })
    }
}
