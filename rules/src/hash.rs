//! Hash maps and sets on the path of a change.
//!
//! The standard library's hasher (SipHash) withstands keys that an attacker chose to collide, at several times the price. Here
//! keys are names that the API server has checked, addresses, and what is made of them; foldhash has a random seed for each
//! process, as the standard library's has.

/// A map.
pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A set.
pub type HashSet<T> = std::collections::HashSet<T, foldhash::fast::RandomState>;
