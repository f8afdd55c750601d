//! The truth, in f64.

/// e^((x - max)/T) of each logit, at T > 0; at T = 0 (or subnormal), 1 for the greedy token alone.
fn weights(row: &[f32], temperature: f32) -> Option<Vec<f64>> {
    let greedy = argmax(row)?;
    let max = f64::from(row[greedy]);
    let weight = |(token, &x): (usize, &f32)| {
        if temperature < f32::MIN_POSITIVE {
            return f64::from(u8::from(token == greedy));
        }
        if x == f32::NEG_INFINITY {
            return 0.0;
        }
        ((f64::from(x) - max) / f64::from(temperature)).exp()
    };
    Some(row.iter().enumerate().map(weight).collect())
}

/// The first of the largest logits.
#[must_use]
pub fn argmax(row: &[f32]) -> Option<usize> {
    if row.iter().any(|x| x.is_nan() || *x == f32::INFINITY) {
        return None;
    }
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if max == f32::NEG_INFINITY { None } else { row.iter().position(|x| *x == max) }
}

/// The probabilities.
#[must_use]
pub fn softmax(row: &[f32], temperature: f32) -> Option<Vec<f64>> {
    let weights = weights(row, temperature)?;
    let sum: f64 = weights.iter().sum();
    Some(weights.iter().map(|w| w / sum).collect())
}

/// The natural logarithms of the probabilities.
#[must_use]
pub fn log_softmax(row: &[f32], temperature: f32) -> Option<Vec<f64>> {
    let weights = weights(row, temperature)?;
    let max = f64::from(row[argmax(row)?]);
    let log_sum = weights.iter().sum::<f64>().ln();
    let log = |(&x, w): (&f32, f64)| {
        if temperature < f32::MIN_POSITIVE || x == f32::NEG_INFINITY {
            return w.ln();
        }
        (f64::from(x) - max) / f64::from(temperature) - log_sum
    };
    Some(row.iter().zip(weights).map(log).collect())
}

/// ln(sum of e^(x/T)); at T = 0 its limit for a single greedy token.
#[must_use]
pub fn log_sum_exp(row: &[f32], temperature: f32) -> Option<f64> {
    let max = f64::from(row[argmax(row)?]);
    if temperature < f32::MIN_POSITIVE {
        return Some(if max == 0.0 { 0.0 } else { max * f64::INFINITY });
    }
    Some(max / f64::from(temperature) + weights(row, temperature)?.iter().sum::<f64>().ln())
}

/// The token at which the cumulative distribution exceeds the uniform.
#[must_use]
pub fn sample(row: &[f32], temperature: f32, uniform: f64) -> Option<usize> {
    let weights = weights(row, temperature)?;
    let target = uniform * weights.iter().sum::<f64>();
    let mut prefix = 0.0;
    let reached = weights.iter().position(|w| {
        prefix += w;
        prefix > target
    });
    reached.or_else(|| weights.iter().rposition(|w| *w > 0.0))
}
