//! Frozen results, the same on every platform. A change here is "value-breaking" and belongs in
//! CHANGELOG.md under that name.

mod common;

use common::{check, gaussian, levels, one, temperature};
use kelvin::{Draw, Key};

/// FNV-1a over the bits.
fn digest(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn frozen_keys() {
    let uniform = |seed, position| Key { seed, position }.uniform();
    assert_eq!(
        [uniform(0, 0), uniform(42, 7), uniform(7, 42), uniform(u64::MAX, u64::MAX)],
        [0.45309869234792266, 0.3980864191151787, 0.9280581252636467, 0.7115918240518041]
    );
    let mut four = [0.0; 4];
    Key { seed: 1, position: 2 }.fill(&mut four);
    assert_eq!(four, [0.4056375431825391, 0.6441086950987177, 0.8736220802495928, 0.22860019460034453]);
}

/// The notebook's five words, and a row of 3001 logits with a masked run.
fn rows() -> [Vec<f32>; 2] {
    let words = vec![0.882_269_26, 0.915_004, 0.382_863_76, 0.959_305_64, 0.390_448_2];
    let mut long = gaussian(3001, 3.0, 11);
    long[900..1500].fill(f32::NEG_INFINITY);
    [words, long]
}

/// T, then the digests of `scale`, `softmax` and `log_softmax` for both rows.
const DIGESTS: [(f32, [u64; 6]); 6] = [
    (
        f32::MIN_POSITIVE,
        [
            0xe5751cdb9b804e68,
            0x10cd5ca8389b49a8,
            0x377cac8401a6d77a,
            0x1dc9c95685b7d856,
            0x65dcd1ffea97d6b8,
            0xe11c576f707277f7,
        ],
    ),
    (
        0.01,
        [
            0x49df8949383265a6,
            0xa7e7f8f0803d5440,
            0x3cdc8f949bee084e,
            0x5e4b27207921280a,
            0xa13606c06564289c,
            0x9522c04ef707a1a1,
        ],
    ),
    (
        0.7,
        [
            0x7db037b094ee710f,
            0x6dca9f322ab64880,
            0x425acb08a3277f2b,
            0x512b0f37c095a898,
            0x3223fe84148f3e07,
            0x4ecee510240f13de,
        ],
    ),
    (
        6.0,
        [
            0x6e8c91200b59e820,
            0x3378e659b8705e8e,
            0xef54ca67cf3b0e5a,
            0x32a856eabe2edd0b,
            0x28bd4396377b0e1d,
            0x7e4723b93f0992d5,
        ],
    ),
    (
        1e38,
        [
            0x42fe31a3dc8768bc,
            0xe5ce5c3080450922,
            0xd1b7f09fa9c0eea4,
            0x0a1b2dcacdbd298d,
            0xc94fda072db3200b,
            0x1e6af5b1aed690e0,
        ],
    ),
    (
        f32::INFINITY,
        [
            0xee85fafd354b0935,
            0xe5ce5c3080450922,
            0xd1b7f09fa9c0eea4,
            0xdde15f6314c6c435,
            0xc94fda072db3200b,
            0x1e6af5b1aed690e0,
        ],
    ),
];

#[test]
fn frozen_rows() {
    for level in levels() {
        for (t, expected) in DIGESTS {
            let temperature = [temperature(t)];
            let [words, long] = rows().map(|row| {
                ["scale", "softmax", "log_softmax"]
                    .map(|kernel| digest(&check::run(level, kernel, &row, &temperature).0))
            });
            let digests = [words, long].concat();
            assert_eq!(digests, expected, "{level}, T = {t:e}: {digests:#x?}");
        }
    }
}

type TokenAndBits = (u32, u32);

/// T, u, then token and bits of the log-probability for both rows.
const DRAWS: [(f32, f64, [TokenAndBits; 2]); 8] = [
    (0.0, 0.5, [(3, 0x00000000), (2030, 0x00000000)]),
    (f32::MIN_POSITIVE, 0.5, [(3, 0x00000000), (2030, 0x00000000)]),
    (0.01, 0.001, [(1, 0xc08e288f), (2030, 0x00000000)]),
    (0.7, 0.25, [(1, 0xbfb027d1), (597, 0xc093dd5e)]),
    (1.0, 0.999_999, [(4, 0xbffa9909), (3000, 0xc1159e54)]),
    (6.0, 0.0, [(0, 0xbfca5e4e), (0, 0xc0db8980)]),
    (1e38, 0.75, [(3, 0xbfce0210), (2400, 0xc0f91395)]),
    (f32::INFINITY, 0.3, [(1, 0xbfce0210), (720, 0xc0f91395)]),
];

#[test]
fn frozen_draws() {
    for level in levels() {
        for (t, u, expected) in DRAWS {
            let temperature = temperature(t);
            let drawn = rows().map(|row| {
                let draw = check::draw(level, &row, temperature, u).expect("servable");
                (draw.token, draw.logprob.to_bits())
            });
            assert_eq!(drawn, expected, "{level}, T = {t:e}, u = {u}: {drawn:#x?}");
        }
    }
}

#[test]
fn frozen_draws_from_weights() {
    let weights: Vec<f32> = rows()[1].iter().map(|x| x.max(0.0)).collect();
    for level in levels() {
        let drawn = [0.0, 0.2, 0.8, 0.999_999].map(|u| {
            let mut draws = [Ok(Draw::default())];
            let row = one(&weights);
            level.sample_from_probs(row, &[u], &mut draws).expect("shapes fit");
            draws[0].map(|draw| (draw.token, draw.logprob.to_bits())).expect("servable")
        });
        assert_eq!(
            drawn,
            [(0, 0xc0c31731), (454, 0xc0cb9a67), (2536, 0xc0df2260), (3000, 0xc0e01102)],
            "{level}"
        );
    }
}

#[test]
fn frozen_sums() {
    let [words, long] = rows();
    for level in levels() {
        let sum = |row: &[f32], t: f32| {
            let mut sums = [Ok(0.0)];
            let row = one(row);
            level.log_sum_exp(row, &[temperature(t)], &mut sums).expect("shapes fit");
            sums[0].expect("servable").to_bits()
        };
        let sums = [sum(&words, 0.7), sum(&long, 0.01), sum(&long, 1e38)];
        assert_eq!(sums, [0x400577875e1176da, 0x408f0ad485a07311, 0x401f2272ae325a57], "{level}: {sums:#x?}");
    }
}

/// What rounds to 0 from below keeps its sign: what a compiler makes of a comparison must not change it.
#[test]
fn log_probabilities_of_nearly_0() {
    let (mut row, temperature) = (vec![f32::NEG_INFINITY; 600], temperature(1e30));
    for level in levels() {
        for (logit, expected) in [(-1e-30, [0x8000_0000, 0]), (1e-30, [0, 0])] {
            row[550] = logit;
            let draw = check::draw(level, &row, temperature, 0.5).expect("servable");
            let logprobs = check::run(level, "log_softmax", &row, &[temperature]).0;
            let bits = [draw.logprob, logprobs[550]].map(f32::to_bits);
            assert_eq!(bits, expected, "{level}, logit {logit:e}: {bits:#x?}");
        }
    }
}
