//! The pictures of the report, drawn as SVG: the same text stands alone as a file
//! and inside the report.

mod axis;
mod confusion;
mod curves;
mod recall;
mod svg;

pub use confusion::confusion;
pub use curves::curves;
pub use recall::recall;
