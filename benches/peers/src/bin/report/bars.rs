//! Horizontal bars in groups, each with its name on the left and its number at the end.

use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::Result;
use crate::style::{FONT, GREY, GRID, INK, WIDTH, text};

/// A bar of a group: how long (if known), what stands at its end.
pub struct Bar {
    pub value: Option<f64>,
    pub label: String,
    pub colour: RGBColor,
}

pub struct Group {
    pub name: String,
    pub bars: Vec<Bar>,
}

pub struct Bars {
    pub title: String,
    pub unit: String,
    /// What the colours mean.
    pub legend: Vec<(Vec<RGBColor>, String)>,
    pub groups: Vec<Group>,
    /// Pixels for the names.
    pub left: u32,
    pub log: bool,
    /// A line to measure them by, if there is one.
    pub mark: Option<f64>,
}

const BAR: u32 = 17;
const GAP: u32 = 11;
const TOP: u32 = 66;
const BOTTOM: u32 = 48;

impl Bars {
    pub fn draw(&self, path: &Path) -> Result<()> {
        let height = TOP + BOTTOM + GAP + self.groups.iter().map(height).sum::<u32>();
        let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        self.heading(&area)?;
        let values = self.groups.iter().flat_map(|group| &group.bars).filter_map(|bar| bar.value);
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        let y = 0..(height - TOP - BOTTOM) as i32;
        if self.log {
            // Room for the label at the end of the longest bar.
            let low = 10_f64.powf((low / 1.5).log10().floor());
            self.plot(&area, (low..high * (high / low).powf(0.28)).log_scale(), low, y)?;
        } else {
            self.plot(&area, 0.0..high * 1.18, 0.0, y)?;
        }
        area.present()?;
        Ok(())
    }

    fn heading<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        area.draw(&Text::new(self.title.clone(), (12, 18), text(18, INK, HPos::Left)))?;
        let mut x = 12;
        for (colours, name) in &self.legend {
            for colour in colours {
                area.draw(&Rectangle::new([(x, 36), (x + 14, 50)], colour.filled()))?;
                x += 16;
            }
            area.draw(&Text::new(name.clone(), (x + 4, 43), text(14, INK, HPos::Left)))?;
            x += 28 + 8 * name.len() as i32;
        }
        Ok(())
    }

    fn plot<B, X>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        x: X,
        low: f64,
        y: Range<i32>,
    ) -> Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let bottom = y.end;
        let mut chart = ChartBuilder::on(area)
            .margin_top(TOP)
            .margin_right(16)
            .set_label_area_size(LabelAreaPosition::Left, self.left)
            .set_label_area_size(LabelAreaPosition::Bottom, BOTTOM)
            .build_cartesian_2d(x, bottom..0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GREY)
            .x_labels(8)
            .x_label_formatter(&|x| x.to_string())
            .x_desc(self.unit.clone())
            .label_style((FONT, 13).into_font().color(&INK))
            .axis_desc_style((FONT, 14).into_font().color(&INK))
            .draw()?;
        let plot = chart.plotting_area();
        let mut y = GAP as i32;
        for group in &self.groups {
            let middle = y + (group.bars.len() as u32 * BAR / 2) as i32;
            let name = Text::new(group.name.clone(), (-8, 0), text(14, INK, HPos::Right));
            plot.draw(&(EmptyElement::at((low, middle)) + name))?;
            for (bar, top) in group.bars.iter().zip((y..).step_by(BAR as usize)) {
                let end = bar.value.unwrap_or(low);
                let corners = [(low, top), (end, top + BAR as i32 - 2)];
                plot.draw(&Rectangle::new(corners, bar.colour.filled()))?;
                let label = Text::new(bar.label.clone(), (6, 0), text(13, INK, HPos::Left));
                let beside = end.max(self.mark.unwrap_or(end));
                plot.draw(&(EmptyElement::at((beside, top + BAR as i32 / 2)) + label))?;
            }
            y += height(group) as i32;
        }
        if let Some(mark) = self.mark {
            plot.draw(&PathElement::new([(mark, 0), (mark, bottom)], INK.stroke_width(2)))?;
        }
        Ok(())
    }
}

fn height(group: &Group) -> u32 {
    group.bars.len() as u32 * BAR + GAP
}
