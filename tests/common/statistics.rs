//! Distributions compared: exactly, and by tests with derived critical values.

/// Half the summed difference.
pub fn total_variation(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0
}

/// Pearson's statistic below the quantile of 1 - 10^-6 (Wilson and Hilferty's approximation, z = 4.753).
pub fn assert_fits(counts: &[u32], exact: &[f64], draws: usize, context: &str) {
    let (mut statistic, mut cells) = (0.0, 0.0);
    let (mut rest, mut rest_expected) = (0.0, 0.0);
    let mut add = |count: f64, expected: f64| {
        statistic += (count - expected).powi(2) / expected;
        cells += 1.0;
    };
    for (&count, p) in counts.iter().zip(exact) {
        let expected = p * draws as f64;
        if expected >= 50.0 {
            add(f64::from(count), expected);
        } else {
            rest += f64::from(count);
            rest_expected += expected;
        }
    }
    if rest_expected >= 50.0 {
        add(rest, rest_expected);
    }
    let freedom: f64 = cells - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    let critical = freedom * (1.0 - spread + 4.753 * spread.sqrt()).powi(3);
    println!(
        "{context}: chi-square {statistic:.0} with {freedom} degrees of freedom, critical {critical:.0}"
    );
    assert!(statistic < critical, "{context}: {statistic} >= {critical}");
}

/// The largest difference of the cumulative distributions below the bound that a right sampler exceeds once
/// in a million seeds: sqrt(ln(2 / 10^-6) / (2 n)) (Dvoretzky, Kiefer and Wolfowitz, with Massart's
/// constant).
pub fn assert_follows(counts: &[u32], exact: &[f64], draws: usize, context: &str) {
    let (mut below, mut expected, mut distance) = (0.0, 0.0, 0.0_f64);
    for (&count, p) in counts.iter().zip(exact) {
        below += f64::from(count) / draws as f64;
        expected += p;
        distance = distance.max((below - expected).abs());
    }
    let critical = (2e6_f64.ln() / (2.0 * draws as f64)).sqrt();
    println!("{context}: Kolmogorov-Smirnov {distance:.1e}, critical {critical:.1e}");
    assert!(distance < critical, "{context}: {distance} >= {critical}");
}

/// How many of the 2^53 uniforms lead to each token, all of them counted: a map that never goes down is
/// constant between two uniforms of the same token.
pub fn enumerate(vocab: usize, draw: impl Fn(f64) -> u32) -> Vec<f64> {
    const ALL: u64 = 1 << 53;
    let token = |k: u64| draw(k as f64 / ALL as f64);
    let mut counts = vec![0_u64; vocab];
    let mut open = vec![(0, token(0), ALL - 1, token(ALL - 1))];
    while let Some((from, first, to, last)) = open.pop() {
        assert!(first <= last, "uniforms {from} and {to}: tokens {first} and {last}");
        if first == last {
            counts[first as usize] += to - from + 1;
        } else {
            let middle = from + (to - from) / 2;
            open.push((middle + 1, token(middle + 1), to, last));
            open.push((from, first, middle, token(middle)));
        }
    }
    counts.into_iter().map(|count| count as f64 / ALL as f64).collect()
}
