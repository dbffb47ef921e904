//! The pictures of the report, drawn as SVG: the same text stands alone as a file
//! and inside the report.

mod certainty;
mod confusion;
mod curves;
mod recall;

pub use certainty::certainty;
pub use confusion::confusion;
pub use curves::curves;
pub use recall::recall;
