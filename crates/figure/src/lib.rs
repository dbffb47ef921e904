//! Figures as SVG text that stands alone as a file and inside a page, in light and dark:
//! a small writer, panels of curves with even and logarithmic axes, and the same as PNG files.

mod axis;
mod png;
mod svg;

pub use axis::{Axis, Curve, Panel};
pub use png::png;
pub use svg::{Marks, Svg, escape, shorten};
