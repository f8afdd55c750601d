//! Colours that colour-blind readers tell apart (Okabe and Ito's), and text.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub const OURS: RGBColor = RGBColor(213, 94, 0);
pub const OURS_LIGHT: RGBColor = RGBColor(240, 170, 115);
pub const THEIRS: RGBColor = RGBColor(0, 88, 140);
pub const THEIRS_LIGHT: RGBColor = RGBColor(140, 190, 225);
pub const THIRD: RGBColor = RGBColor(0, 158, 115);
pub const GREY: RGBColor = RGBColor(110, 110, 110);
pub const GRID: RGBColor = RGBColor(225, 225, 225);
pub const INK: RGBColor = RGBColor(30, 30, 30);

pub const WIDTH: u32 = 900;
pub const FONT: &str = "sans-serif";

/// Text of a size and colour, with its anchor to the left, in the middle or to the right.
pub fn text(size: u32, colour: RGBColor, anchor: HPos) -> TextStyle<'static> {
    let style = TextStyle::from((FONT, size).into_font()).pos(Pos::new(anchor, VPos::Center));
    TextStyle { color: colour.to_backend_color(), ..style }
}

/// Three digits that matter.
pub fn short(x: f64) -> String {
    let digits = match x.abs() {
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        _ => 2,
    };
    let plain = format!("{x:.digits$}");
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), None), |(w, r)| (w, Some(r)));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or(grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

/// 1024 as 1k, 1048576 as 1M, 32000 as 32000.
pub fn power(x: f64) -> String {
    let x = x.round() as u64;
    match x {
        _ if x >= 1 << 20 && x.is_multiple_of(1 << 20) => format!("{}M", x >> 20),
        _ if x >= 1 << 10 && x.is_multiple_of(1 << 10) => format!("{}k", x >> 10),
        _ => x.to_string(),
    }
}
