//! Frozen draws from tables, the same on every platform: as tests/stability.rs.

mod common;

use common::{gaussian, levels, one, served, temperature};
use kelvin::{AliasTable, Cdf, Key, Temperature, Uniforms, draw_counts};

const KEY: Key = Key { seed: 1, position: 2 };

/// 3001 logits with a masked run, and their temperature.
fn row() -> (Vec<f32>, Temperature) {
    let mut row = gaussian(3001, 3.0, 11);
    row[900..1500].fill(f32::NEG_INFINITY);
    (row, temperature(0.7))
}

#[test]
fn frozen_words() {
    let mut words = [0; 3];
    KEY.fill_words(&mut words);
    assert_eq!(words, [7482691945776605471, 11881708254137065303, 16115482931505986265]);
}

#[test]
fn frozen_tables() {
    let (row, t) = row();
    let row = one(&row);
    for level in levels() {
        let (mut cdf, mut alias, mut tokens) = (Cdf::default(), AliasTable::default(), [[0; 8]; 3]);
        level.rebuild_cdf(&mut cdf, row, 0, t).expect("servable");
        cdf.draw_keyed(KEY, &mut tokens[0]).expect("a table");
        level.rebuild_alias(&mut alias, row, 0, t).expect("servable");
        alias.draw_keyed(KEY, &mut tokens[1]).expect("a table");
        served(level.sample_without_replacement(row, &[t], Uniforms::Keys(&[KEY]), &mut tokens[2]));
        let expected = [
            [2030, 2030, 2622, 509, 2030, 2030, 2392, 2030],
            [1748, 2654, 2030, 686, 1893, 2392, 2030, 2904],
            [2030, 2392, 2622, 10, 1611, 2532, 2778, 2501],
        ];
        assert_eq!(tokens, expected, "{level}");
    }
    let mut counts = draw_counts(row, 0, t, KEY, 100_000).expect("servable");
    counts.sort_by_key(|&(_, count)| core::cmp::Reverse(count));
    assert_eq!(counts[..3], [(2030, 32516), (10, 14724), (1748, 4663)]);
}
