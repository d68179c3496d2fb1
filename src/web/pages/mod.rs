//! Pages by area.

pub(super) mod operations;
