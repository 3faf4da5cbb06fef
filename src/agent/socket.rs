//! The Unix socket on which the agent answers questions; see [`agent_api`](crate::agent_api).

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use nix::unistd::geteuid;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long to wait when the process or the machine is out of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket with its server. Both go when it is dropped.
pub(super) struct Socket {
    path: PathBuf,
    _task: JoinSet<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone already, with its folder.
        drop(fs::remove_file(&self.path));
    }
}

impl Socket {
    /// Listens, and answers. The folder is made where it is missing, and the socket of an agent that is no more is replaced.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where the file system refuses, or another process listens there: [`io::ErrorKind::AddrInUse`].
    pub(super) fn listen(path: &Path, answers: Router) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            listener => listener,
        }?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It never returns.
            drop(axum::serve(Guarded(listener), answers).await);
        });
        let socket = Self { path: path.to_owned(), _task: task };
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(socket)
    }
}

/// Whether a socket is there that nobody listens on.
fn is_abandoned(path: &Path) -> bool {
    matches!(Probe::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A listener that takes connections of root and of the agent's own user alone, whatever has become of the file's
/// permissions.
struct Guarded(UnixListener);

impl Listener for Guarded {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) if is_permitted(&stream) => return (stream, address),
                Ok(_) => {
                    tracing::warn!(
                        "a process that is not root's was refused an answer on the agent's socket"
                    );
                }
                Err(error) => {
                    tracing::debug!("cannot accept a connection on the agent's socket: {error}");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

fn is_permitted(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}
