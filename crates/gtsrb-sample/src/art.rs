//! What the 43 signs look like: plates and pictograms, drawn as SVG files of 100 × 100 units
//! in `art/`, and the table that puts a sign together from them.

use std::fmt::Write as _;

/// The colour of pictograms that don't bring their own.
const INK: &str = "#1c1d1f";
const RED: &str = "#c4161c";
/// What a derestriction sign crosses out.
const GREY: &str = "#7d8184";

macro_rules! art {
    ($name:literal) => {
        include_str!(concat!("../art/", $name, ".svg"))
    };
}

const RING: Part = Part::Art(art!("plate-ring"));
const DANGER: Part = Part::Art(art!("plate-danger"));
const BLUE: Part = Part::Art(art!("plate-blue"));
const END: Part = Part::Art(art!("plate-end"));
const STRIPES: Part = Part::Art(art!("stripes"));
const CAR: &str = art!("car");
const LORRY: &str = art!("lorry");

/// A digit's drawing and its width; all are 40 high.
const DIGITS: [(char, f32, &str); 8] = [
    ('0', 22.0, art!("digit-0")),
    ('1', 14.0, art!("digit-1")),
    ('2', 22.0, art!("digit-2")),
    ('3', 22.0, art!("digit-3")),
    ('5', 22.0, art!("digit-5")),
    ('6', 22.0, art!("digit-6")),
    ('7', 22.0, art!("digit-7")),
    ('8', 22.0, art!("digit-8")),
];

/// One layer of a sign.
enum Part {
    /// A drawing that fills the sign.
    Art(&'static str),
    /// The same, mirrored left to right.
    Mirrored(&'static str),
    /// A number in the middle, in this colour.
    Number(&'static str, &'static str),
    /// A drawing in this colour, at x, y with a width and height.
    Placed(&'static str, &'static str, [f32; 4]),
}

/// The layers of every class, from the plate up.
const SIGNS: [&[Part]; signs::CLASSES] = [
    &[RING, Part::Number("20", INK)],
    &[RING, Part::Number("30", INK)],
    &[RING, Part::Number("50", INK)],
    &[RING, Part::Number("60", INK)],
    &[RING, Part::Number("70", INK)],
    &[RING, Part::Number("80", INK)],
    &[END, Part::Number("80", GREY), STRIPES],
    &[RING, Part::Number("100", INK)],
    &[RING, Part::Number("120", INK)],
    &[
        RING,
        Part::Placed(CAR, RED, [17.5, 39.0, 30.0, 22.5]),
        Part::Placed(CAR, INK, [52.5, 39.0, 30.0, 22.5]),
    ],
    &[
        RING,
        Part::Placed(LORRY, RED, [19.5, 33.0, 27.4, 32.0]),
        Part::Placed(CAR, INK, [51.5, 43.0, 29.3, 22.0]),
    ],
    &[DANGER, Part::Art(art!("crossing"))],
    &[Part::Art(art!("plate-priority"))],
    &[Part::Art(art!("plate-yield"))],
    &[Part::Art(art!("plate-stop"))],
    &[RING],
    &[RING, Part::Placed(art!("lorry-side"), INK, [2.5, 2.5, 95.0, 95.0])],
    &[Part::Art(art!("plate-no-entry"))],
    &[DANGER, Part::Art(art!("exclamation"))],
    &[DANGER, Part::Art(art!("curve-left"))],
    &[DANGER, Part::Mirrored(art!("curve-left"))],
    &[DANGER, Part::Art(art!("double-curve"))],
    &[DANGER, Part::Art(art!("bumps"))],
    &[DANGER, Part::Art(art!("slippery"))],
    &[DANGER, Part::Art(art!("narrow-right"))],
    &[DANGER, Part::Art(art!("road-work"))],
    &[DANGER, Part::Art(art!("lights"))],
    &[DANGER, Part::Art(art!("pedestrian"))],
    &[DANGER, Part::Art(art!("children"))],
    &[DANGER, Part::Art(art!("bicycle"))],
    &[DANGER, Part::Art(art!("snowflake"))],
    &[DANGER, Part::Art(art!("deer"))],
    &[END, STRIPES],
    &[BLUE, Part::Art(art!("arrow-right"))],
    &[BLUE, Part::Mirrored(art!("arrow-right"))],
    &[BLUE, Part::Art(art!("arrow-ahead"))],
    &[BLUE, Part::Art(art!("arrow-ahead-right"))],
    &[BLUE, Part::Mirrored(art!("arrow-ahead-right"))],
    &[BLUE, Part::Art(art!("arrow-keep-right"))],
    &[BLUE, Part::Mirrored(art!("arrow-keep-right"))],
    &[BLUE, Part::Art(art!("roundabout"))],
    &[
        END,
        Part::Placed(CAR, GREY, [13.0, 38.0, 34.0, 25.5]),
        Part::Placed(CAR, GREY, [53.0, 38.0, 34.0, 25.5]),
        STRIPES,
    ],
    &[
        END,
        Part::Placed(LORRY, GREY, [15.0, 30.0, 31.0, 36.0]),
        Part::Placed(CAR, GREY, [52.5, 40.5, 34.0, 25.5]),
        STRIPES,
    ],
];

/// The drawing of a class as one SVG document of 100 × 100 units.
pub fn svg(class: usize) -> String {
    let mut svg =
        format!(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" color="{INK}">"#);
    for part in SIGNS[class] {
        match part {
            Part::Art(art) => svg += art,
            Part::Mirrored(art) => {
                // Writing to a string can't fail, here and below.
                let _ = write!(svg, r#"<g transform="matrix(-1 0 0 1 100 0)">{art}</g>"#);
            }
            Part::Number(number, colour) => write_number(&mut svg, number, colour),
            Part::Placed(art, colour, place) => write_placed(&mut svg, art, colour, *place),
        }
    }
    svg + "</svg>"
}

fn write_placed(svg: &mut String, art: &str, colour: &str, [x, y, width, height]: [f32; 4]) {
    let _ = write!(
        svg,
        r#"<svg x="{x}" y="{y}" width="{width}" height="{height}" color="{colour}">{art}</svg>"#
    );
}

/// Digits side by side, centred; three are set smaller than two, as on the road.
fn write_number(svg: &mut String, number: &str, colour: &str) {
    let (height, gap) = if number.len() == 2 { (42.0, 5.5) } else { (35.0, 4.4) };
    let drawings = || number.chars().filter_map(|n| DIGITS.iter().find(|digit| digit.0 == n));
    let gaps = gap * (number.len() as f32 - 1.0);
    let width = |digit: f32| digit * height / 40.0;
    let mut x = 50.0 - 0.5 * (drawings().map(|digit| width(digit.1)).sum::<f32>() + gaps);
    for (_, digit, art) in drawings() {
        let place = [x, 50.0 - height / 2.0, width(*digit), height];
        write_placed(svg, art, colour, place);
        x += width(*digit) + gap;
    }
}
