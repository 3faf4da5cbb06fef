//! Sets of the mode ipvs.

use std::thread;
use std::time::Duration;

use super::{Error, names};
use crate::program;

/// How often, and how long apart, it is tried to destroy a set: the kernel lets go of what a rule referred to some time
/// after the rule is gone.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// kube-proxy's sets; `None` if ipset is not installed.
pub(super) fn find() -> Result<Option<Vec<String>>, Error> {
    let names = program::run("ipset", &["list", "-name"], "")?;
    Ok(names.map(|names| names.lines().filter(|name| names::is_set(name)).map(str::to_owned).collect()))
}

/// Destroys a set. False if it is in use.
pub(super) fn destroy(set: &str) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        match program::run("ipset", &["destroy", set], "") {
            Ok(_) => return Ok(true),
            // Whether it is still there tells more surely than what the program says.
            Err(error) => match find()? {
                Some(sets) if sets.iter().any(|other| other == set) => {}
                Some(_) => return Ok(true),
                None => return Err(error.into()),
            },
        }
        thread::sleep(PAUSE);
    }
    Ok(false)
}
