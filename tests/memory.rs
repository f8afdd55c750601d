//! Slices that end at an unmapped page, or start behind one: an access one byte off ends the process.
#![cfg(target_os = "linux")]

mod common;

use bytemuck::{AnyBitPattern, NoUninit};
use common::{gaussian, levels, temperature, thinned};
use kelvin::reference::contract;
use kelvin::{Draw, FailedRows, Level, Logit, Rows, RowsMut};
use mmap_rs::{MmapMut, MmapNone, MmapOptions};

/// Logits per row: around vectors, groups of vectors and blocks, with tails of every length modulo 16.
fn lengths() -> Vec<usize> {
    let around = |n: usize| n.saturating_sub(1).max(1)..=n + 1;
    let ends = [128, 256, 384, 512, 640, 1024, 1536, 2048, 2560].into_iter().flat_map(around);
    (1..=34).chain(ends).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    /// The slice ends where the page behind it begins.
    End,
    /// The slice starts where the page before it ends.
    Start,
}

/// Memory between two pages that may not be touched.
struct Guarded {
    _before: MmapNone,
    room: MmapMut,
    _behind: MmapNone,
    side: Side,
}

impl Guarded {
    fn new(bytes: usize, side: Side) -> Self {
        let page = MmapOptions::page_size();
        let size = bytes.next_multiple_of(page);
        let mut before = MmapOptions::new(size + 2 * page).and_then(MmapOptions::map_mut).expect("memory");
        let mut room = before.split_off(page).expect("a page before");
        let behind = room.split_off(size).expect("a page behind");
        let unmap = |page: MmapMut| page.make_none().map_err(|(_, error)| error).expect("protected");
        Self { _before: unmap(before), room, _behind: unmap(behind), side }
    }

    fn holding<T: NoUninit>(values: &[T], side: Side) -> Self {
        let mut guarded = Self::new(size_of_val(values), side);
        let bytes = bytemuck::must_cast_slice(values);
        let start = guarded.start(bytes.len());
        guarded.room[start..][..bytes.len()].copy_from_slice(bytes);
        guarded
    }

    fn start(&self, bytes: usize) -> usize {
        if self.side == Side::End { self.room.len() - bytes } else { 0 }
    }

    fn slice<T: AnyBitPattern>(&self, len: usize) -> &[T] {
        let bytes = len * size_of::<T>();
        bytemuck::cast_slice(&self.room[self.start(bytes)..][..bytes])
    }

    fn slice_mut<T: AnyBitPattern + NoUninit>(&mut self, len: usize) -> &mut [T] {
        let bytes = len * size_of::<T>();
        let start = self.start(bytes);
        bytemuck::cast_slice_mut(&mut self.room[start..][..bytes])
    }
}

#[test]
fn rows_of_f32_at_every_edge_of_a_page() {
    row_kernels_at_every_edge(|x| x);
}

#[cfg(feature = "half")]
#[test]
fn half_rows_at_every_edge_of_a_page() {
    row_kernels_at_every_edge(half::f16::from_f32);
    row_kernels_at_every_edge(half::bf16::from_f32);
}

fn row_kernels_at_every_edge<L: Logit + AnyBitPattern + NoUninit + Into<f32>>(narrow: impl Fn(f32) -> L) {
    let levels = levels();
    let normal = gaussian(2 * 2561 + 3, 3.0, 1);
    for len in thinned(lengths(), 5) {
        for side in [Side::End, Side::Start] {
            // Two rows with a gap; the second ends at the edge.
            let (stride, data) =
                (len + 3, normal[..2 * len + 3].iter().map(|&x| narrow(x)).collect::<Vec<L>>());
            let logits = Guarded::holding(&data, side);
            let rows = Rows::with_stride(logits.slice::<L>(data.len()), 2, len, stride).expect("two rows");
            let wide: Vec<f32> = data.iter().map(|&x| x.into()).collect();
            for &level in &levels {
                for t in [0.0, 1e-6, 0.8, 1e38] {
                    check_writers(level, rows, &wide, t, side);
                    check_outcomes(level, rows, &wide, t, side);
                }
            }
        }
    }
}

fn check_writers<L: Logit>(level: Level, rows: Rows<'_, L>, wide: &[f32], t: f32, side: Side) {
    let (vocab, stride) = (rows.vocab(), rows.stride());
    let temperature = [temperature(t)];
    type Contract = fn(&[f32], f32) -> Option<Vec<f32>>;
    let kernels: [(_, Contract); 3] = [
        (Level::scale::<L> as fn(_, _, &[_], &mut RowsMut<'_>) -> _, contract::scale),
        (Level::softmax, contract::softmax),
        (Level::log_softmax, contract::log_softmax),
    ];
    for (kernel, contract) in kernels {
        let mut guarded = Guarded::holding(&vec![7.0_f32; wide.len()], side);
        let mut out =
            RowsMut::with_stride(guarded.slice_mut(wide.len()), 2, vocab, stride).expect("two rows");
        assert_eq!(
            kernel(level, rows, &temperature, &mut out),
            Ok(FailedRows::default()),
            "{level} {side:?} {vocab}"
        );
        assert_eq!(
            Some(out.as_rows().row(1).to_vec()),
            contract(&wide[stride..], t),
            "{level} {side:?} {vocab}"
        );
    }
    let in_place: [(_, Contract); 3] = [
        (Level::scale_in_place as fn(_, &mut RowsMut<'_>, &[_]) -> _, contract::scale),
        (Level::softmax_in_place, contract::softmax),
        (Level::log_softmax_in_place, contract::log_softmax),
    ];
    for (kernel, contract) in in_place {
        let mut guarded = Guarded::holding(wide, side);
        let mut out =
            RowsMut::with_stride(guarded.slice_mut(wide.len()), 2, vocab, stride).expect("two rows");
        assert_eq!(kernel(level, &mut out, &temperature), Ok(FailedRows::default()));
        assert_eq!(Some(out.as_rows().row(1).to_vec()), contract(&wide[stride..], t));
    }
}

fn check_outcomes<L: Logit>(level: Level, rows: Rows<'_, L>, wide: &[f32], t: f32, side: Side) {
    let row = &wide[rows.stride()..];
    let temperature = [temperature(t)];
    let uniforms = Guarded::holding(&[0.0, 1.0 - f64::EPSILON], side);
    let uniforms = uniforms.slice(2);
    let (mut draws, mut tokens, mut sums) = ([Ok(Draw::default()); 2], [Ok(0); 2], [Ok(0.0); 2]);
    level.sample(rows, &temperature, uniforms, &mut draws).expect("shapes fit");
    let expected = contract::sample(row, t, uniforms[1]).map(|(token, logprob)| Draw { token, logprob });
    assert_eq!(draws[1].ok(), expected, "{level} {side:?}");
    level.argmax(rows, &mut tokens).expect("shapes fit");
    assert_eq!(tokens[1].ok().map(|token| token as usize), contract::argmax(row));
    level.log_sum_exp(rows, &temperature, &mut sums).expect("shapes fit");
    assert_eq!(sums[1].ok(), contract::log_sum_exp(row, t));
}

#[test]
fn weights_at_every_edge_of_a_page() {
    let levels = levels();
    let normal: Vec<f32> = gaussian(2 * 2561, 3.0, 2).into_iter().map(f32::exp2).collect();
    for len in thinned(lengths(), 5) {
        for side in [Side::End, Side::Start] {
            let guarded = Guarded::holding(&normal[..2 * len], side);
            let rows = Rows::new(guarded.slice(2 * len), len).expect("two rows");
            for level in &levels {
                let mut draws = [Ok(Draw::default()); 2];
                level.sample_from_probs(rows, &[0.0, 0.999], &mut draws).expect("shapes fit");
                let (token, logprob) = contract::sample_from_probs(rows.row(1), 0.999).expect("servable");
                assert_eq!(draws[1], Ok(Draw { token, logprob }));
            }
        }
    }
}

/// The guards are there: the kernel's own list of mappings says so.
#[test]
fn neighbouring_pages_are_unmapped() {
    let guarded = Guarded::new(1, Side::End);
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a list of mappings");
    let is_locked = |address: usize| {
        maps.lines().any(|line| {
            let (range, rest) = line.split_once(' ').expect("a range");
            let (start, end) = range.split_once('-').expect("two ends");
            let hex = |digits: &str| usize::from_str_radix(digits, 16).expect("hexadecimal");
            (hex(start)..hex(end)).contains(&address) && rest.starts_with("---p")
        })
    };
    assert!(is_locked(guarded.room.start() - 1) && is_locked(guarded.room.end()));
    assert!(!is_locked(guarded.room.start()));
}
