//! Figures as SVG text that stands alone as a file and inside a page, in light and dark:
//! a small writer, and panels of curves with even and logarithmic axes.

mod axis;
mod svg;

pub use axis::{Axis, Curve, Panel};
pub use svg::{Svg, escape, shorten};
