//! Points in a plane, coloured by cluster.

use maud::{Markup, html};

use super::scale::{Scale, extent};
use super::{color, px, svg};

/// Points of one colour.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Category of the colour.
    pub color: usize,
    /// What stands at the centre, where anything does.
    pub name: Option<String>,
    /// Coordinates, and the text shown while pointing at it.
    pub points: Vec<([f32; 2], String)>,
}

/// Draws `clusters` into `size` CSS pixels, both axes to the same scale.
pub fn scatter(label: &str, clusters: &[Cluster], size: (f64, f64)) -> Markup {
    let (width, height) = size;
    let points = || clusters.iter().flat_map(|cluster| &cluster.points);
    let (x, y) = scales(points().map(|point| point.0), width, height);
    let body = html! {
        @for cluster in clusters {
            g.points fill=(color(cluster.color)) {
                @for ([a, b], text) in &cluster.points {
                    circle cx=(px(x.at(f64::from(*a)))) cy=(px(y.at(f64::from(*b)))) r="2.7" {
                        title { (text) }
                    }
                }
            }
        }
        @for cluster in clusters {
            @if let Some(name) = &cluster.name {
                @let [a, b] = median(cluster);
                text.place x=(px(x.at(a))) y=(px(y.at(b) + 4.0)) text-anchor="middle" { (name) }
            }
        }
    };
    svg(label, width, height, &body)
}

/// The same number of pixels a unit on both axes, the picture in the middle.
fn scales(points: impl Iterator<Item = [f32; 2]>, width: f64, height: f64) -> (Scale, Scale) {
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.map(|p| (f64::from(p[0]), f64::from(p[1]))).unzip();
    let (x, y) = (extent(xs, 0.03), extent(ys, 0.03));
    let unit = ((x.1 - x.0) / width).max((y.1 - y.0) / height);
    let around = |(low, high): (f64, f64), pixels: f64| {
        let (middle, half) = ((low + high) / 2.0, unit * pixels / 2.0);
        (middle - half, middle + half)
    };
    (Scale::new(around(x, width), (0.0, width)), Scale::new(around(y, height), (height, 0.0)))
}

/// The median in each coordinate: inside the bulk, whatever strays.
fn median(cluster: &Cluster) -> [f64; 2] {
    [0, 1].map(|c| {
        let mut values: Vec<f32> = cluster.points.iter().map(|point| point.0[c]).collect();
        values.sort_by(f32::total_cmp);
        values.get(values.len() / 2).copied().map_or(0.0, f64::from)
    })
}
