//! Drawings as pixels.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use stage::{Error, Result};

use crate::svg::by_day;

/// Pixels a unit of the drawing.
const SCALE: f32 = 2.0;

/// The name by which [`FONT`] knows itself.
const FAMILY: &str = "Ubuntu";

/// The only font there is, so that the pixels don't depend on those of a machine. A character
/// that it lacks stays blank; in the SVG file it is there.
const FONT: &[u8] = epaint_default_fonts::UBUNTU_LIGHT;

/// The PNG file of `drawing`, made by a [`Svg`](crate::Svg), in its light colours, two pixels a unit.
///
/// # Errors
/// [`Internal`](stage::Fault::Internal) if it isn't a drawing.
pub fn png(drawing: &str) -> Result<Vec<u8>> {
    let failed = |reason: &dyn std::fmt::Display| Error::internal(format!("a drawing: {reason}"));
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let tree = Tree::from_str(&by_day(drawing), &options).map_err(|e| failed(&e))?;
    let size = tree.size().to_int_size();
    let size = size.scale_by(SCALE).ok_or_else(|| failed(&"it has no size"))?;
    let mut pixels =
        Pixmap::new(size.width(), size.height()).ok_or_else(|| failed(&"it has no size"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Svg;

    /// Colours of the pixels of a drawing of 40 x 20.
    fn colours(draw: impl Fn(&mut Svg)) -> Vec<[u8; 3]> {
        let mut svg = Svg::new(40.0, 20.0, "var(--ink)");
        draw(&mut svg);
        let bytes = png(&svg.finish()).unwrap();
        let image = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!((image.width(), image.height()), (80, 40));
        image.pixels().map(|pixel| pixel.0).collect()
    }

    #[test]
    fn classes_have_their_light_colours() {
        let found = colours(|svg| svg.rect("good", [0.0, 0.0, 20.0, 20.0], 1.0, "x"));
        let count = |wanted: [u8; 3]| found.iter().filter(|colour| **colour == wanted).count();
        assert_eq!((count([0x1a, 0x6f, 0xb5]), count([0xff; 3])), (1600, 1600));
        let found = colours(|svg| svg.path("stroke bad", &[(0.0, 10.0), (40.0, 10.0)]));
        let count = |wanted: [u8; 3]| found.iter().filter(|colour| **colour == wanted).count();
        assert_eq!((count([0xc8, 0x37, 0x1b]), count([0xff; 3])), (320, 2880));
    }

    #[test]
    fn marks_without_length_are_dots() {
        let look = crate::Marks { class: "", colour: Some([10, 20, 30]), name: "" };
        let found = colours(|svg| svg.marks(&look, "h0", &[(10.0, 10.0), (30.0, 10.0)]));
        let dark = found.iter().filter(|colour| **colour == [10, 20, 30]).count();
        assert!((60..=2 * 64).contains(&dark), "{dark}");
    }

    #[test]
    fn text_is_drawn_without_fonts_of_the_machine() {
        let ink = |text: &str| {
            let found = colours(|svg| svg.text("mid", (20.0, 15.0), text));
            found.iter().filter(|colour| colour[0] < 192).count()
        };
        assert_eq!(ink(" "), 0);
        assert!(ink("ß →") > 20 && ink("WW") > ink("ii"));
    }
}
