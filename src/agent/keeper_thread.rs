//! The thread of the keeper: what it reads of others comes over channels, and what it does waits for nobody but the kernel.

use std::any::Any;
use std::io;
use std::panic::resume_unwind;
use std::thread;

use tokio::runtime;
use tokio::sync::oneshot;

use super::back_end::Predecessor;
use super::error::Error;
use super::keeper::{Inputs, Keeper};

/// A keeper with all that it needs.
pub(super) type Made = (Keeper, Inputs, Option<Predecessor>);

/// What a thread panicked with.
type Panic = Box<dyn Any + Send>;

/// Starts the keeper on a thread of its own, which makes it, since the netlink socket that it has belongs to the thread that opened
/// it. Gives what the keeper has found of an earlier mode, and a future for its end.
pub(super) async fn start(
    make: impl FnOnce() -> Result<Made, Error> + Send + 'static,
) -> Result<(Option<Predecessor>, impl Future<Output = Result<(), Panic>>), Error> {
    let (started, start) = oneshot::channel();
    let (ending, end) = oneshot::channel::<()>();
    let work = move || {
        let _ending = ending;
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let made = runtime.map_err(failed("start the keeper's runtime"));
        match made.and_then(|runtime| Ok((runtime, make()?))) {
            Err(error) => drop(started.send(Err(error))),
            Ok((runtime, (keeper, inputs, predecessor))) => {
                drop(started.send(Ok(predecessor)));
                runtime.block_on(keeper.run(inputs));
            }
        }
    };
    let thread = thread::Builder::new().name("keeper".to_owned()).spawn(work);
    let thread = thread.map_err(failed("start the keeper's thread"))?;
    let ended = async move {
        // Nothing is ever sent: it is dropped at the end.
        drop(end.await);
        thread.join()
    };
    let Ok(started) = start.await else {
        // Only a panic keeps it from saying how it went.
        ended.await.unwrap_or_else(|panic| resume_unwind(panic));
        return Err(failed("start the keeper")(io::ErrorKind::BrokenPipe.into()));
    };
    Ok((started?, ended))
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, source }
}
