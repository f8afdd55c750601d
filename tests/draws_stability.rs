//! Frozen draws from tables, the same on every platform: as tests/stability.rs.

mod common;

use common::{gaussian, levels, one, served, temperature};
use kelvin::reference::contract;
use kelvin::{AliasTable, Cdf, Draws, Key, RowError, Temperature, Uniforms, draw_counts};

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

#[test]
fn frozen_draws_from_weights() {
    let (row, t) = row();
    let probs = contract::softmax(&row, t.get()).expect("servable");
    let (probs, mut alias, mut tokens) = (one(&probs), AliasTable::default(), [[0; 8]; 2]);
    for level in levels() {
        level.rebuild_alias_from_probs(&mut alias, probs, 0).expect("servable");
        alias.draw_keyed(KEY, &mut tokens[0]).expect("a table");
        let keys = Uniforms::Keys(&[KEY]);
        served(level.sample_from_probs_without_replacement(probs, keys, &mut tokens[1]));
        let expected =
            [[1748, 2654, 2030, 686, 1893, 2392, 2030, 2904], [2030, 2392, 2622, 10, 1611, 2532, 2778, 2501]];
        assert_eq!(tokens, expected, "{level}");
    }
}

/// From how many draws on it is an alias table decides which tokens a key draws.
#[test]
fn frozen_choice_of_a_table() {
    /// The fewest draws for which the alias table is chosen.
    fn limit(auto: impl Fn(usize) -> Result<Draws, RowError>) -> usize {
        let is_alias = |draws: &usize| matches!(auto(*draws), Ok(Draws::Alias(_)));
        (0..10_000).find(is_alias).expect("an alias table")
    }
    let row = gaussian(1000, 3.0, 12);
    let limits = [0.0, 0.1, 0.8, 5.0, f32::INFINITY].map(|t| {
        let t = temperature(t);
        limit(|draws| Draws::auto(one(&row), 0, t, draws))
    });
    assert_eq!(limits, [167, 167, 233, 731, 164]);
    let probs = contract::softmax(&row, 0.8).expect("servable");
    assert_eq!(limit(|draws| Draws::auto_from_probs(one(&probs), 0, draws)), 233);
}
