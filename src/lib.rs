//! svcnat.
