//! log2(e)/T: what logits are multiplied by.

/// log2(e)/T, in the forms that the kernels need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor {
    /// log2(e)/T.
    pub(crate) exact: f64,
    /// Logits are multiplied by this power of two first: 1, unless T is so high that `lo` would be
    /// subnormal.
    pub(crate) shrink: f32,
    /// Logits below this, in size, count as 0 where others are shrunk: x s is then below 2^-60 and 2^(x s) is
    /// 1 in any case, but x s might be subnormal. (A row would take 80 x the time at T = 1e38, on an Intel
    /// Granite Rapids.)
    pub(super) negligible: f32,
    /// log2(e)/T/shrink = hi + lo, to 2^-48.
    pub(super) hi: f32,
    pub(super) lo: f32,
}

impl Factor {
    /// For a temperature that is not greedy.
    ///
    /// At T = inf every logit but -inf weighs the same: so small a factor says just that (x s < 2^-50), and
    /// -inf stays -inf.
    pub(crate) const fn new(temperature: f32) -> Self {
        const HIGH: f64 = 1.0 / (1_u128 << 100) as f64;
        const NEGLIGIBLE: f64 = 1.0 / (1_u64 << 60) as f64;
        const UNIFORM: f64 = HIGH / (1_u128 << 78) as f64;
        let exact = (core::f64::consts::LOG2_E / temperature as f64).max(UNIFORM);
        let (shrink, negligible) = if exact < HIGH { (HIGH, NEGLIGIBLE / exact) } else { (1.0, 0.0) };
        let hi = (exact / shrink) as f32;
        let lo = (exact / shrink - hi as f64) as f32;
        Self { exact, shrink: shrink as f32, negligible: negligible as f32, hi, lo }
    }
}
