//! What is told of a method on a row at a temperature, and the tables that keep it.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::methods::Outcome;

pub const HEAD: &str = "method,row,temperature,relative_error,total_variation,reach,lost,drawable";

/// NaN where there is no distribution.
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    /// The largest of a written probability whose true value is above 2^-100.
    pub relative_error: f64,
    /// Between what is drawn and the truth.
    pub total_variation: f64,
    /// Of the tokens with a true probability of 2^-50 or more, the share that some uniform draws.
    pub reach: f64,
    /// The largest true probability of a token that no uniform draws.
    pub lost: f64,
    /// The share of all tokens that some uniform draws.
    pub drawable: f64,
}

impl Metrics {
    pub fn new(truth: &[f64], outcome: &Outcome) -> Self {
        let Some(drawn) = &outcome.drawn else {
            let [relative_error, total_variation, reach, lost, drawable] = [f64::NAN; 5];
            return Self { relative_error, total_variation, reach, lost, drawable };
        };
        let errors = truth.iter().zip(&outcome.written).filter(|(p, _)| **p > 2_f64.powi(-100));
        let distances = truth.iter().zip(drawn).map(|(p, q)| (p - q).abs());
        let reachable = truth.iter().zip(drawn).filter(|(p, _)| **p >= 2_f64.powi(-50));
        let count = reachable.clone().count();
        let lost = truth.iter().zip(drawn).filter(|(_, q)| **q == 0.0).map(|(p, _)| *p);
        let reached = reachable.filter(|(_, q)| **q > 0.0).count();
        Self {
            relative_error: errors.map(|(p, w)| (f64::from(*w) / p - 1.0).abs()).fold(0.0, f64::max),
            total_variation: distances.sum::<f64>() / 2.0,
            reach: reached as f64 / count as f64,
            lost: lost.fold(0.0, f64::max),
            drawable: drawn.iter().filter(|q| **q > 0.0).count() as f64 / drawn.len() as f64,
        }
    }
}

pub struct Line {
    pub method: String,
    pub row: String,
    pub temperature: f64,
    pub metrics: Metrics,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, row, temperature, metrics } = self;
        let Metrics { relative_error, total_variation, reach, lost, drawable } = metrics;
        write!(f, "{method},{row},{temperature:e},")?;
        write!(f, "{relative_error:.4e},{total_variation:.4e},{reach},{lost:.4e},{drawable}")
    }
}

/// All tables there are: that of this program, and that of `python/extremes.py`.
pub fn read(folder: &Path) -> Result<Vec<Line>> {
    let mut lines = vec![];
    for name in ["rust.csv", "torch.csv"] {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for line in text.lines().skip(1) {
            lines.push(parse(line).map_err(|error| format!("{}: {error}: {line}", path.display()))?);
        }
    }
    Ok(lines)
}

fn parse(line: &str) -> Result<Line> {
    let fields: Vec<&str> = line.split(',').collect();
    let [method, row, temperature, relative_error, total_variation, reach, lost, drawable] = fields[..]
    else {
        return Err("not eight columns".into());
    };
    let metrics = Metrics {
        relative_error: relative_error.parse()?,
        total_variation: total_variation.parse()?,
        reach: reach.parse()?,
        lost: lost.parse()?,
        drawable: drawable.parse()?,
    };
    Ok(Line { method: method.into(), row: row.into(), temperature: temperature.parse()?, metrics })
}
