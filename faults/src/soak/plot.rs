//! The course as a picture.

use super::{Course, Reading, Sample};
use gpusher_figures::plot::{Line, Plot, Scale, picture as stack};

/// Points of a line: as many as can be told apart.
const POINTS_MAX: usize = 360;
const MEBIBYTE: f64 = 1_048_576.0;

/// Memory and descriptors of each process; connections and sockets.
pub fn picture(course: &Course) -> String {
    let samples = thinned(&course.samples);
    let parts = samples.first().map(|sample| &sample.parts[..]).unwrap_or_default();
    let of_parts = |value: fn(&Reading) -> Option<f64>| {
        let lines = parts.iter().map(|part| {
            let is_it = |it: &&Reading| it.part == part.part;
            let find = |sample: &&Sample| sample.parts.iter().find(is_it).and_then(value);
            line(&part.part, &samples, find)
        });
        lines.collect()
    };
    let plot = |title, unit, lines| Plot {
        title,
        x: ("minutes", Scale::Linear),
        y: (unit, Scale::Linear),
        lines,
    };
    let connections = vec![
        line("sockets, both ends", &samples, |sample| Some(sample.sockets as f64)),
        line("gateway's slots", &samples, |sample| Some(sample.slots as f64)),
    ];
    stack(&[
        plot(
            "Live heap: allocated and not freed",
            "MiB",
            of_parts(|part| Some((part.heap_bytes? + part.heap_bytes_in_c?) as f64 / MEBIBYTE)),
        ),
        plot(
            "Resident: the live heap, stacks, and what allocators keep of what was freed",
            "MiB",
            of_parts(|part| Some(part.anonymous_bytes as f64 / MEBIBYTE)),
        ),
        plot("Descriptors", "", of_parts(|part| Some(part.descriptors as f64))),
        plot("Connections", "", connections),
    ])
}

fn line<'a>(
    name: &'a str,
    samples: &[&Sample],
    value: impl Fn(&&Sample) -> Option<f64>,
) -> Line<'a> {
    let points = samples.iter().filter_map(|sample| Some((sample.at_s / 60.0, value(sample)?)));
    Line { name, points: points.collect() }
}

/// Some at even distances, and all rests.
fn thinned(samples: &[Sample]) -> Vec<&Sample> {
    let every = samples.len().div_ceil(POINTS_MAX).max(1);
    let numbered = samples.iter().enumerate();
    let some = numbered.filter(|(number, sample)| number % every == 0 || sample.resting);
    some.map(|(_, sample)| sample).collect()
}
