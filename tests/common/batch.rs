//! A whole batch on every level, in a thread pool, with gaps between its rows: each row must come out as the
//! contract says it does alone. So neighbours, their order and number, strides, threads and levels change
//! nothing.

use super::case::{Case, Row};
use super::check::{row_error, same_bits, weight_error};
use super::{in_pool, temperature};
use kelvin::reference::contract;
use kelvin::{Draw, Error, FailedRows, Level, Logit, RowError, Rows, RowsMut, Temperature};

/// A case laid out in memory, as `f32`, or as a half type that `narrow` rounds to.
pub struct Batch<'a, L> {
    case: &'a Case,
    data: Vec<L>,
    temperatures: Vec<Temperature>,
}

/// What each distinct row must give; `None` where it must fail.
pub type Expected<T> = Vec<Option<T>>;

/// For every row of the case.
pub fn expect<T>(case: &Case, of: impl Fn(&Row) -> Option<T>) -> Expected<T> {
    case.rows.iter().map(of).collect()
}

impl<'a, L: Logit> Batch<'a, L> {
    pub fn new(case: &'a Case, narrow: impl Fn(f32) -> L) -> Self {
        let mut data = vec![narrow(f32::NAN); (case.order.len() - 1) * case.stride + case.vocab];
        for (row, data) in case.order.iter().zip(data.chunks_mut(case.stride)) {
            data.iter_mut().zip(&case.rows[*row].logits).for_each(|(to, &x)| *to = narrow(x));
        }
        let of_row = |&row: &usize| temperature(case.rows[row].temperature);
        Self { case, data, temperatures: case.order.iter().map(of_row).collect() }
    }

    fn rows(&self) -> Rows<'_, L> {
        Rows::with_stride(&self.data, self.case.order.len(), self.case.vocab, self.case.stride).expect("rows")
    }

    /// `scale`, `softmax` and `log_softmax`.
    pub fn check_writers(&self) {
        let unset = vec![f32::NAN; self.data.len()];
        let (rows, t) = (self.rows(), &self.temperatures);
        self.check_writer("scale", &unset, contract::scale, |level, out| level.scale(rows, t, out));
        self.check_writer("softmax", &unset, contract::softmax, |level, out| level.softmax(rows, t, out));
        self.check_writer("log_softmax", &unset, contract::log_softmax, |level, out| {
            level.log_softmax(rows, t, out)
        });
    }

    /// `before` is what the output holds before the kernel runs.
    fn check_writer(
        &self,
        name: &str,
        before: &[f32],
        contract: fn(&[f32], f32) -> Option<Vec<f32>>,
        kernel: impl Fn(Level, &mut RowsMut<'_>) -> Result<FailedRows, Error> + Sync,
    ) {
        let Case { vocab, stride, threads, ref order, .. } = *self.case;
        let expected = expect(self.case, |row| contract(&row.logits, row.temperature));
        for level in Level::available() {
            let mut out = before.to_vec();
            let mut rows = RowsMut::with_stride(&mut out, order.len(), vocab, stride).expect("rows");
            let errors = in_pool(threads, || kernel(level, &mut rows)).expect("shapes fit");
            self.check_rows(&format!("{name} on {level}"), &out, &errors, &expected);
        }
    }

    fn check_rows(&self, context: &str, out: &[f32], errors: &[RowError], expected: &Expected<Vec<f32>>) {
        let Case { vocab, stride, ref order, .. } = *self.case;
        let failed = |(place, &row): (usize, &usize)| {
            expected[row].is_none().then(|| row_error(place, &self.case.rows[row].logits))
        };
        let failures: Vec<RowError> = order.iter().enumerate().filter_map(failed).collect();
        assert_eq!(errors, failures, "{context}");
        for (place, (out, &row)) in out.chunks(stride).zip(order).enumerate() {
            let (out, gap) = out.split_at(vocab);
            let t = self.case.rows[row].temperature;
            match &expected[row] {
                Some(expected) => same_bits(out, expected, &format!("{context}, row {place}, T = {t:e}")),
                None => assert!(out.iter().all(|x| x.is_nan()), "{context}: failed row {place} is not NaN"),
            }
            assert!(gap.iter().all(|x| x.is_nan()), "{context}: row {place} ran into its gap");
        }
    }

    /// `log_sum_exp`, `argmax` and `sample`.
    pub fn check_outcomes(&self) {
        let sums = expect(self.case, |row| contract::log_sum_exp(&row.logits, row.temperature));
        self.check_outcome(
            "log_sum_exp",
            Ok(f64::NAN),
            &bits_of(sums, f64::to_bits),
            row_error,
            f64::to_bits,
            |level, out| level.log_sum_exp(self.rows(), &self.temperatures, out),
        );
        let tokens = expect(self.case, |row| contract::argmax(&row.logits).map(|token| token as u32));
        self.check_outcome(
            "argmax",
            Ok(u32::MAX),
            &tokens,
            row_error,
            |token| token,
            |level, out| level.argmax(self.rows(), out),
        );
        self.check_draws(&expect(self.case, |row| Some(row.uniform)));
    }

    /// `sample`, with a uniform for each distinct row.
    pub fn check_draws(&self, uniforms: &Expected<f64>) {
        let uniform = |row: &usize| uniforms[*row].expect("one per row");
        let all: Vec<f64> = self.case.order.iter().map(uniform).collect();
        let draw = |(row, u): (&Row, &Option<f64>)| contract::sample(&row.logits, row.temperature, (*u)?);
        let expected = self.case.rows.iter().zip(uniforms).map(draw).collect();
        self.check_outcome(
            "sample",
            Ok(Draw::default()),
            &bits_of(expected, |(token, p)| (token, p.to_bits())),
            row_error,
            |draw| (draw.token, draw.logprob.to_bits()),
            |level, out| level.sample(self.rows(), &self.temperatures, &all, out),
        );
    }

    /// `sample_from_probs`, of the numbers as weights.
    pub fn check_weights(&self) {
        let uniforms: Vec<f64> = self.case.order.iter().map(|&row| self.case.rows[row].uniform).collect();
        let expected = expect(self.case, |row| contract::sample_from_probs(&row.logits, row.uniform));
        self.check_outcome(
            "sample_from_probs",
            Ok(Draw::default()),
            &bits_of(expected, |(token, p)| (token, p.to_bits())),
            weight_error,
            |draw| (draw.token, draw.logprob.to_bits()),
            |level, out| level.sample_from_probs(self.rows(), &uniforms, out),
        );
    }

    fn check_outcome<T: Copy + Send, B: PartialEq + Copy + std::fmt::Debug>(
        &self,
        name: &str,
        unset: Result<T, RowError>,
        expected: &Expected<B>,
        error: fn(usize, &[f32]) -> RowError,
        bits: impl Fn(T) -> B,
        kernel: impl Fn(Level, &mut [Result<T, RowError>]) -> Result<(), Error> + Sync,
    ) {
        for level in Level::available() {
            let mut out = vec![unset; self.case.order.len()];
            in_pool(self.case.threads, || kernel(level, &mut out)).expect("shapes fit");
            for (place, (&row, outcome)) in self.case.order.iter().zip(out).enumerate() {
                let Row { ref logits, temperature: t, .. } = self.case.rows[row];
                let expected = expected[row].ok_or_else(|| error(place, logits));
                assert_eq!(outcome.map(&bits), expected, "{name} on {level}, row {place}, T = {t:e}");
            }
        }
    }
}

impl Batch<'_, f32> {
    /// `scale_in_place`, `softmax_in_place` and `log_softmax_in_place`.
    pub fn check_in_place(&self) {
        let (logits, t) = (&self.data, &self.temperatures);
        self.check_writer("scale in place", logits, contract::scale, |level, rows| {
            level.scale_in_place(rows, t)
        });
        self.check_writer("softmax in place", logits, contract::softmax, |level, rows| {
            level.softmax_in_place(rows, t)
        });
        self.check_writer("log_softmax in place", logits, contract::log_softmax, |level, rows| {
            level.log_softmax_in_place(rows, t)
        });
    }
}

fn bits_of<T, B>(expected: Expected<T>, bits: impl Fn(T) -> B) -> Expected<B> {
    expected.into_iter().map(|value| value.map(&bits)).collect()
}
