//! A payment provider of our own for demonstrations and tests: it speaks the interface of hosted checkouts with signed
//! callbacks, and makes on demand every fault that real ones make.
//!
//! It is a program apart: it shares the interface with ours, and nothing else.
