//! Clients that connect all the while.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Scope, sleep};
use std::time::{Duration, Instant};

use svcnat_lab::Host;

use crate::scene::{STEADY, Scene};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client leaves the machine to others between two connections for so long.
const PAUSE: Duration = Duration::from_millis(2);

pub struct Clients<'a> {
    scene: &'a Scene,
    done: AtomicBool,
    connections: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// Clients that run.
pub struct Running<'a>(&'a AtomicBool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Clients<'a> {
    pub fn new(scene: &'a Scene) -> Self {
        Self {
            scene,
            done: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            failures: Mutex::default(),
        }
    }

    /// Two clients: a pod that asks ClusterIPs, a laptop that asks node ports. They end when what this gives is dropped.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Running<'scope> {
        scope.spawn(|| self.ask(&self.scene.client, Scene::inside));
        scope.spawn(|| self.ask(&self.scene.laptop, |steady| self.scene.outside(steady)));
        Running(&self.done)
    }

    /// How often somebody has connected and was answered.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// What went wrong.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    fn ask(&self, from: &Host, target_of: impl Fn(u8) -> SocketAddr + Sync) {
        from.run(|| {
            for steady in (0..STEADY).cycle() {
                if self.done.load(Ordering::Relaxed) {
                    return;
                }
                let (target, began) = (target_of(steady), Instant::now());
                match question(target) {
                    Ok(_) => drop(self.connections.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        let (name, took) = (from.name(), began.elapsed());
                        let failure = format!("{name} to {target}: {error} after {took:?}");
                        self.failures.lock().unwrap().push(failure);
                    }
                }
                sleep(PAUSE);
            }
        });
    }
}

/// Connects and asks; the line that is answered.
fn question(target: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"who are you?\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.starts_with("web-") { Ok(line) } else { Err(io::Error::other(format!("{line:?} is no answer"))) }
}
