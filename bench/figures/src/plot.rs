//! Line plots as SVG: axes with round numbers, a line for each series, nothing that needs a script.

use std::fmt::Write;

/// How values are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By their logarithm.
    Logarithmic,
    /// Percentiles: by how many are beyond.
    Nines,
}

/// A line.
#[derive(Debug)]
pub struct Line<'a> {
    /// In the key.
    pub name: &'a str,
    /// Across and up.
    pub points: Vec<(f64, f64)>,
}

/// What a plot shows.
#[derive(Debug)]
pub struct Plot<'a> {
    /// Above it.
    pub title: &'a str,
    /// Unit and scale across.
    pub x: (&'a str, Scale),
    /// Unit and scale up.
    pub y: (&'a str, Scale),
    /// What is drawn.
    pub lines: Vec<Line<'a>>,
}

/// How the parts of a plot look, wherever it is shown.
pub const STYLE: &str = "\
svg text{font:12px system-ui,sans-serif;fill:#444}svg .title{font-weight:600;fill:#1b1b1b}
svg .x{text-anchor:middle}svg .y{text-anchor:end}svg .key{font-weight:600;text-anchor:end}
svg .grid{stroke:#e4e4e4;fill:none}svg .line{fill:none;stroke-width:1.6}";

/// Plots below each other as a picture that needs nothing else.
pub fn picture(plots: &[Plot<'_>]) -> String {
    let height = HEIGHT * plots.len() as f64;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (number, plot) in plots.iter().enumerate() {
        let place = format!("<svg y=\"{}\" height=\"{HEIGHT}\" ", HEIGHT * number as f64);
        picture.push_str(&plot.svg().replacen("<svg ", &place, 1));
    }
    picture.push_str("</svg>\n");
    picture
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 45.0;
/// Width of a letter in the key, about.
const KEY_LETTER: f64 = 6.6;
/// Told apart by people who see no red or green, too.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// One axis: from values to a share of its length.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let (low, high) = match scale {
            Scale::Linear => (0.0, round_up(most)),
            Scale::Logarithmic => {
                let least = values.filter(|value| *value > 0.0).fold(most, f64::min);
                let low = 10f64.powf(least.max(1e-6).log10().floor());
                (low, 10f64.powf(most.max(low * 10.0).log10().ceil()))
            }
            Scale::Nines => (0.0, most.clamp(99.0, 99.999_999)),
        };
        Self { scale, low, high }
    }

    fn place(&self, value: f64) -> f64 {
        let along = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(self.low).log10(),
            Scale::Nines => -(1.0 - value.min(self.high) / 100.0).log10(),
        };
        (along(value) - along(self.low)) / (along(self.high) - along(self.low))
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => (0..=5).map(|part| self.high * f64::from(part) / 5.0).collect(),
            Scale::Logarithmic => {
                let powers = self.low.log10().round() as i32..=self.high.log10().round() as i32;
                powers.map(|power| 10f64.powi(power)).collect()
            }
            Scale::Nines => [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999]
                .into_iter()
                .filter(|tick| *tick <= self.high)
                .collect(),
        }
    }
}

/// The next number that divides into five parts nicely enough.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

impl Plot<'_> {
    /// The whole picture; nothing if there is nothing to show.
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        if points().next().is_none() {
            return String::new();
        }
        let x = Axis::new(self.x.1, points().map(|(x, _)| *x));
        let y = Axis::new(self.y.1, points().map(|(_, y)| *y));
        let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let down = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}</text>\n",
            title = escape(self.title),
        );
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in x.ticks() {
            let at = across(tick);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/><text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 16.0,
                short(tick)
            );
        }
        for tick in y.ticks() {
            let at = down(tick);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                short(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"unit\" x=\"4\" y=\"{TOP}\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 8.0,
            escape(self.x.0),
            escape(self.y.0)
        );
        let mut key = right;
        for (number, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let mut path = String::new();
            for (index, (x, y)) in line.points.iter().enumerate() {
                let verb = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{verb}{:.1} {:.1}", across(*x), down(*y));
            }
            let _ = writeln!(
                svg,
                "<path class=\"line\" stroke=\"{colour}\" d=\"{path}\"/><text class=\"key\" style=\"fill:{colour}\" x=\"{key:.1}\" y=\"18\">{}</text>",
                escape(line.name)
            );
            key -= line.name.chars().count() as f64 * KEY_LETTER + 16.0;
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Three digits and a letter.
fn short(value: f64) -> String {
    let (value, letter) = match value.abs() {
        large if large >= 1e9 => (value / 1e9, "G"),
        large if large >= 1e6 => (value / 1e6, "M"),
        large if large >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.4}") };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{letter}")
}

/// Text inside a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_where_the_scale_says() {
        let linear = Axis::new(Scale::Linear, [3.0, 17.0].into_iter());
        assert_eq!((linear.low, linear.high), (0.0, 20.0));
        assert!((linear.place(5.0) - 0.25).abs() < 1e-9);
        let logarithmic = Axis::new(Scale::Logarithmic, [0.2, 70.0].into_iter());
        assert_eq!(logarithmic.ticks(), [0.1, 1.0, 10.0, 100.0]);
        assert!((logarithmic.place(1.0) - 1.0 / 3.0).abs() < 1e-9);
        let nines = Axis::new(Scale::Nines, [0.0, 99.9].into_iter());
        assert!((nines.place(90.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.25, 1.0, 9_999.0, 20_000.0, 1_500_000.0, 99.9999].map(short);
        assert_eq!(all, ["0", "0.25", "1", "9999", "20k", "1.5M", "99.9999"]);
    }

    #[test]
    fn a_picture_has_its_lines_and_nothing_unescaped() {
        let points = vec![(0.0, 1.0), (1.0, 5.0)];
        let lines = vec![Line { name: "a<b", points }, Line { name: "none", points: vec![] }];
        let axes = ("s", Scale::Linear);
        let plot = Plot { title: "t & t", x: axes, y: axes, lines };
        let svg = plot.svg();
        assert_eq!(svg.matches("class=\"line\"").count(), 2);
        assert!(svg.contains("a&lt;b") && svg.contains("t &amp; t") && !svg.contains("NaN"));
        let picture = picture(&[plot]);
        assert_eq!(picture.matches("<svg ").count(), picture.matches("</svg>").count());
        assert_eq!(Plot { title: "none", x: axes, y: axes, lines: Vec::new() }.svg(), "");
    }
}
