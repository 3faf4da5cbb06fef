//! Lowering: from routes to fragments of the ruleset, and the program that serves them all.
//!
//! A [`Fragment`] is what one Service contributes; it depends on that Service alone. The *program* is the rest:
//! base chains, shared chains, declarations of sets. It names no Service and no backend.

mod chains;
mod counting;
mod external;
mod fragment;
mod frontend;
mod lower;
mod lowering;
mod maps;
mod names;
mod picking;
mod program;
mod read_back;
mod set_name;
mod shared_chain;
mod slots;
mod statement;

pub use fragment::{Claim, ElementAt, Fragment};
pub use frontend::FrontendKey;
pub use names::{pool_of_chain, set};
pub use picking::{CHAINS_BELOW, MAPS_ABOVE, Picking};
pub use program::{ProgramNeeds, program};
pub use read_back::slots_in;
pub use set_name::SetName;
pub use shared_chain::{DRAWS, Picker, SharedChain};
pub use slots::{PoolSlots, Previous, Slots};

pub(crate) use counting::backends;
pub(crate) use lower::lower;
pub(crate) use names::{
    chain, comment, is_external_chain, picks_local, service_of_chain, service_of_element,
};
pub(crate) use picking::pools_with_slots;
pub(crate) use shared_chain::is_shared_chain;
pub(crate) use statement::Statements;
