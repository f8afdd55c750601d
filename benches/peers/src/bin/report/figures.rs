//! Which charts there are, and what of the data they show.

use std::fs;
use std::path::Path;

use plotters::prelude::RGBColor;

use crate::Result;
use crate::bars::{Bar, Bars, Group};
use crate::data::{Data, KELVIN, Line};
use crate::lines::{Lines, Series};
use crate::style::{OURS, OURS_LIGHT, THEIRS, THEIRS_LIGHT, THIRD, short};
use crate::tables::{against, distinct};

/// The operations of peers that have a chart each.
pub const CHARTED: [&str; 3] = ["sample", "softmax", "argmax"];

/// The vocabulary, and the two numbers of rows, of the charts of peers.
const VOCAB: usize = 128_256;
const ROWS: [usize; 2] = [1, 64];

/// Draws what there is data for, takes away what there is none for; the names of those drawn.
pub fn draw_all(data: &Data, folder: &Path) -> Result<Vec<&'static str>> {
    let peers = CHARTED.map(|op| (op, peers(op, &data.peers())));
    let mut drawn = vec![];
    for (name, chart) in peers.into_iter().chain([("memory", memory(data.roofline.as_deref()))]) {
        if keep(chart.as_ref(), name, folder, Bars::draw)? {
            drawn.push(name);
        }
    }
    let growth = data.growth.as_deref().unwrap_or_default();
    for (name, chart) in [("growth-vocab", vocab(growth)), ("growth-rows", rows(growth))] {
        if keep(chart.as_ref(), name, folder, Lines::draw)? {
            drawn.push(name);
        }
    }
    Ok(drawn)
}

fn keep<C>(chart: Option<&C>, name: &str, folder: &Path, draw: fn(&C, &Path) -> Result<()>) -> Result<bool> {
    let path = folder.join(format!("{name}.svg"));
    match chart {
        Some(chart) => draw(chart, &path)?,
        None if path.exists() => fs::remove_file(&path)?,
        None => {}
    }
    Ok(chart.is_some())
}

fn peers(op: &str, lines: &[&Line]) -> Option<Bars> {
    let at = |line: &&&Line, rows| line.is(op, rows, 1) && line.vocab == VOCAB;
    let mut single: Vec<&Line> = lines.iter().filter(|line| at(line, ROWS[0])).copied().collect();
    single.sort_by(|a, b| a.reference_us.total_cmp(&b.reference_us));
    single.first()?;
    let of = |name: &str, rows| lines.iter().find(|line| at(line, rows) && line.reference == name).copied();
    // Kelvin's own is the time beside the peers in Rust, which come first.
    let ours = ROWS.map(|rows| lines.iter().find(|line| at(line, rows)).map(|line| (line.us, None)));
    let bars = |times: [Option<(f64, Option<f64>)>; 2], colours: [RGBColor; 2]| {
        [0, 1].map(|i| peer_bar(times[i], ROWS[i], colours[i])).into()
    };
    let mut groups = vec![Group { name: KELVIN.into(), bars: bars(ours, [OURS, OURS_LIGHT]) }];
    groups.extend(single.iter().map(|line| {
        let theirs = ROWS.map(|rows| of(&line.reference, rows));
        let times = theirs.map(|line| line.map(|line| (line.reference_us, Some(1.0 / line.ratio()))));
        Group { name: line.reference.clone(), bars: bars(times, [THEIRS, THEIRS_LIGHT]) }
    }));
    let legend = |colours: [RGBColor; 2], rows: usize| (colours.into(), format!("{rows} x {VOCAB}"));
    Some(Bars {
        title: format!("{op}: time per row on one thread (less is better; log scale)"),
        unit: "microseconds per row".into(),
        legend: vec![legend([OURS, THEIRS], ROWS[0]), legend([OURS_LIGHT, THEIRS_LIGHT], ROWS[1])],
        groups,
        left: 250,
        log: true,
        mark: None,
    })
}

/// With its time, and how many times that is of the one that kelvin took in turns with it.
fn peer_bar(times: Option<(f64, Option<f64>)>, rows: usize, colour: RGBColor) -> Bar {
    let value = times.map(|(us, _)| us / rows as f64);
    let label = match (value, times) {
        (Some(us), Some((_, Some(times)))) => format!("{} us ({} x)", short(us), short(times)),
        (Some(us), _) => format!("{} us", short(us)),
        (None, _) => "not timed: over 1 s".into(),
    };
    Bar { value, label, colour }
}

fn memory(lines: Option<&[Line]>) -> Option<Bars> {
    let lines: Vec<&Line> = lines?.iter().filter(|line| line.dtype == "f32").collect();
    let (level, vocab) = lines.first().map(|line| (&line.level, line.vocab))?;
    let most = lines.iter().map(|line| line.threads).max()?;
    let cases = [(1, 1, OURS, "L2, 1 thread"), (256, 1, THEIRS, "DRAM, 1 thread"), (256, most, THIRD, "")];
    let ops = distinct(lines.iter().map(|line| &*line.op));
    let cases = &cases[..if most > 1 { 3 } else { 2 }];
    let bar = |op: &str, &(rows, threads, colour, _): &(usize, usize, RGBColor, &str)| {
        let line = lines.iter().find(|line| line.is(op, rows, threads) && line.level == *level)?;
        Some(Bar { value: Some(line.ratio()), label: short(line.ratio()), colour })
    };
    let group = |op: &&str| Group {
        name: format!("{op} / {}", against(op)),
        bars: cases.iter().filter_map(|case| bar(op, case)).collect(),
    };
    let name = |name: &str| if name.is_empty() { format!("DRAM, {most} threads") } else { name.into() };
    Some(Bars {
        title: format!(
            "kelvin ({level}), rows of {vocab}: multiples of the time of plain loops (less is better)"
        ),
        unit: "time / time of reading, copying or scaling the same buffers in a plain loop".into(),
        legend: cases.iter().map(|case| (vec![case.2], name(case.3))).collect(),
        groups: ops.iter().map(group).collect(),
        left: 250,
        log: false,
        mark: Some(1.0),
    })
}

const NS: &str = "ns per element";

fn vocab(growth: &[Line]) -> Option<Lines> {
    let powers = |op: &str| -> Vec<&Line> {
        growth.iter().filter(|line| line.is(op, 1, 1) && line.vocab.is_power_of_two()).collect()
    };
    let by = |line: &Line, us: f64| (line.vocab as f64, 1e3 * us / line.vocab as f64);
    let mut series = vec![];
    for (op, reference, colours) in
        [("sample", "reading", [OURS, OURS]), ("softmax", "copying", [THEIRS, THEIRS])]
    {
        let lines = powers(op);
        let points = lines.iter().map(|line| by(line, line.us)).collect();
        series.push(Series { name: op.into(), colour: colours[0], dashed: false, points });
        let points = lines.iter().map(|line| by(line, line.reference_us)).collect();
        series.push(Series { name: reference.into(), colour: colours[1], dashed: true, points });
    }
    let x = "vocabulary (columns), one row, one thread; dashed: plain loops that read or copy".into();
    lines(format!("Cost of an element against the vocabulary ({})", growth.first()?.level), x, series)
}

fn rows(growth: &[Line]) -> Option<Lines> {
    const VOCAB: usize = 32_000;
    let most = growth.iter().map(|line| line.threads).max()?;
    let mut series = vec![];
    for (op, colour) in [("sample", OURS), ("softmax", THEIRS)] {
        for threads in if most > 1 { vec![1, most] } else { vec![1] } {
            let lines = growth.iter().filter(|line| line.op == op && line.vocab == VOCAB);
            let lines = lines.filter(|line| line.threads == threads);
            let points = lines.map(|line| (line.rows as f64, 1e3 * line.us / (line.rows * VOCAB) as f64));
            let name = format!("{op}, {threads} thread{}", if threads > 1 { "s" } else { "" });
            series.push(Series { name, colour, dashed: threads > 1, points: points.collect() });
        }
    }
    let x = format!("rows of {VOCAB}; dashed: {most} threads");
    lines(format!("Cost of an element against the number of rows ({})", growth.first()?.level), x, series)
}

fn lines(title: String, x: String, series: Vec<Series>) -> Option<Lines> {
    let enough = series.iter().all(|series| series.points.len() > 1);
    enough.then(|| Lines { title, x, y: NS.into(), series })
}
