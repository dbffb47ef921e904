//! The pictures of the report, drawn as SVG: the same text stands alone as a file
//! and inside the report.

mod balance;
mod certainty;
mod confusion;
mod curves;
mod map;
mod recall;

pub use balance::balance;
pub use certainty::certainty;
pub use confusion::confusion;
pub use curves::curves;
pub use map::map;
pub use recall::recall;
