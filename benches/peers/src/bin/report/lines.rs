//! Lines over powers of two.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::style::{FONT, GREY, GRID, INK, WIDTH, power, short, text};

pub struct Series {
    pub name: String,
    pub colour: RGBColor,
    pub dashed: bool,
    pub points: Vec<(f64, f64)>,
}

pub struct Lines {
    pub title: String,
    pub x: String,
    pub y: String,
    pub series: Vec<Series>,
}

const HEIGHT: u32 = 440;
/// Room for the names at the ends of the lines.
const RIGHT: u32 = 190;

impl Lines {
    pub fn draw(&self, path: &Path) -> Result<()> {
        let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE)?;
        area.draw(&Text::new(self.title.clone(), (12, 18), text(18, INK, HPos::Left)))?;
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (first, last) = points().fold((f64::INFINITY, 0.0_f64), |(a, b), p| (a.min(p.0), b.max(p.0)));
        let top = points().fold(0.0_f64, |top, p| top.max(p.1)) * 1.08;
        let mut chart = ChartBuilder::on(&area)
            .margin_top(40)
            .margin_left(14)
            .margin_right(RIGHT)
            .set_label_area_size(LabelAreaPosition::Left, 66)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d((first..last).log_scale().base(2.0), 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GREY)
            .x_labels(12)
            .x_label_formatter(&|x| power(*x))
            .y_label_formatter(&|y| format!("{y:.2}"))
            .x_desc(self.x.clone())
            .y_desc(self.y.clone())
            .label_style((FONT, 13).into_font().color(&INK))
            .axis_desc_style((FONT, 14).into_font().color(&INK))
            .draw()?;
        for series in &self.series {
            let line = series.colour.stroke_width(if series.dashed { 2 } else { 3 });
            let points = series.points.iter().copied();
            if series.dashed {
                chart.draw_series(DashedLineSeries::new(points, 6, 5, line))?;
            } else {
                chart.draw_series(LineSeries::new(points.clone(), line))?;
                chart.draw_series(points.map(|point| Circle::new(point, 4, series.colour.filled())))?;
            }
        }
        let plot = chart.plotting_area();
        for (series, y) in self.series.iter().zip(self.label_positions(top)) {
            let Some(&(x, value)) = series.points.last() else { continue };
            let label = format!("{}: {}", series.name, short(value));
            let label = Text::new(label, (10, 0), text(14, series.colour, HPos::Left));
            plot.draw(&(EmptyElement::at((x, y)) + label))?;
        }
        area.present()?;
        Ok(())
    }

    /// Beside the last points, but no two on top of each other.
    fn label_positions(&self, top: f64) -> Vec<f64> {
        let apart = top * 18.0 / f64::from(HEIGHT - 90);
        let wanted: Vec<f64> =
            self.series.iter().map(|series| series.points.last().map_or(0.0, |point| point.1)).collect();
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
        let (mut positions, mut lowest) = (wanted.clone(), 0.0);
        for i in order {
            positions[i] = wanted[i].max(lowest);
            lowest = positions[i] + apart;
        }
        positions
    }
}
