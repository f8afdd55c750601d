//! One line of panels for each row, a panel for each measure, a curve for each method.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::metrics::{Line, Metrics};
use crate::style::{FONT, GREY, GRID, INK, OURS, THEIRS, THIRD, text};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const ROWS: [(&str, &str); 5] = [
    ("gaussian", "Gaussian, deviation 3"),
    ("zipf", "Zipf"),
    ("peaked", "peaked"),
    ("wide", "-1e4 to 1e4"),
    ("huge", "-1e30 to 1e30"),
];
const METHODS: [(&str, RGBColor, u32); 3] =
    [("torch", THIRD, 5), ("divide first", THEIRS, 2), ("kelvin", OURS, 2)];
/// Errors below this are drawn as this.
const SMALLEST: f64 = 1e-9;

struct Measure {
    title: &'static str,
    of: fn(&Metrics) -> f64,
    is_error: bool,
}

const MEASURES: [Measure; 3] = [
    Measure { title: "largest relative error", of: |m| m.relative_error, is_error: true },
    Measure { title: "total variation from the truth", of: |m| m.total_variation, is_error: true },
    Measure { title: "tokens of p >= 2^-50 within reach", of: |m| m.reach, is_error: false },
];

pub fn draw(lines: &[Line], path: &Path) -> Result<()> {
    let area = SVGBackend::new(path, (1200, 1010)).into_drawing_area();
    area.fill(&WHITE)?;
    heading(&area)?;
    let panels = area.margin(66, 30, 0, 0).split_evenly((ROWS.len(), MEASURES.len()));
    for (i, panel) in panels.iter().enumerate() {
        let ((row, title), measure) = (ROWS[i / MEASURES.len()], &MEASURES[i % MEASURES.len()]);
        let lines: Vec<&Line> = lines.iter().filter(|line| line.row == row).collect();
        if i % MEASURES.len() == 0 {
            panel.draw(&Text::new(title, (8, 12), text(15, INK, HPos::Left)))?;
        }
        if measure.is_error {
            curves(panel, &lines, measure, (SMALLEST..10.0).log_scale(), |y| format!("{y:.0e}"))?;
        } else {
            curves(panel, &lines, measure, -0.03..1.08, |y| format!("{:.0} %", y * 100.0))?;
        }
    }
    let axis = Text::new("temperature (log scale)", (600, 995), text(14, INK, HPos::Center));
    area.draw(&axis)?;
    area.present()?;
    Ok(())
}

fn heading(area: &Area) -> Result<()> {
    let title = "Softmax and draws over all temperatures, 151,936 tokens (bands: NaN)";
    area.draw(&Text::new(title, (12, 18), text(18, INK, HPos::Left)))?;
    let mut x = 640;
    for (name, colour, width) in METHODS.into_iter().rev() {
        area.draw(&PathElement::new([(x, 18), (x + 30, 18)], colour.stroke_width(width)))?;
        area.draw(&Text::new(name, (x + 38, 18), text(15, INK, HPos::Left)))?;
        x += 170;
    }
    for (i, measure) in MEASURES.iter().enumerate() {
        let middle = 400 * i as i32 + 225;
        area.draw(&Text::new(measure.title, (middle, 50), text(15, INK, HPos::Center)))?;
    }
    Ok(())
}

fn curves<Y>(panel: &Area, lines: &[&Line], measure: &Measure, y: Y, label: fn(&f64) -> String) -> Result<()>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(panel)
        .margin_top(22)
        .margin_right(14)
        .set_label_area_size(LabelAreaPosition::Left, 56)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d(-126.0..128.0, y)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(GREY)
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|x| format!("2^{x:.0}"))
        .y_label_formatter(&label)
        .label_style((FONT, 12).into_font().color(&INK))
        .draw()?;
    for (method, colour, width) in METHODS {
        let lines = || lines.iter().filter(|line| line.method == method);
        let value = |line: &Line| (measure.of)(&line.metrics);
        let points = lines().filter(|line| !value(line).is_nan());
        let floor = if measure.is_error { SMALLEST } else { 0.0 };
        let points = points.map(|line| (line.temperature.log2(), value(line).max(floor)));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(width)))?;
        // At which there is no value: a band that reaches up to the last of those temperatures.
        if let Some(end) =
            lines().filter(|line| value(line).is_nan()).map(|line| line.temperature).reduce(f64::max)
        {
            let ends = chart.plotting_area().get_y_range();
            let corners = [(-126.0, ends.start), (end.log2(), ends.end)];
            chart.draw_series([Rectangle::new(corners, colour.mix(0.15).filled())])?;
        }
    }
    Ok(())
}
