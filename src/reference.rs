//! Two references to compare with: slow, plain, and sharing no code with the kernels (but that the contract,
//! like these, takes exp2 and ln in f64 from `math.rs`).
//!
//! - [`contract`] is the numerical contract, one logit at a time. Every level must give *its bits*.
//! - [`oracle`] is the truth, in f64. The contract must come *near its values*, within a derived bound.
//!
//! Levels that agree with each other can still all be wrong, so tests and fuzzers use both. They are
//! public for those who compare other samplers, or change a kernel. Nothing here is fast.
//!
//! Each function takes one row, and a temperature that a [`Temperature`](crate::Temperature) may have. `None`
//! means that the row cannot be served: it has a NaN or +inf, or nothing but -inf.

pub mod contract;
pub mod oracle;
