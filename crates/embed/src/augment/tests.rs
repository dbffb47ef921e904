use artifact::Hash;

use super::*;
use crate::{Crop, Framing};

const PLAIN: Change = Change {
    matrix: [[1.0, 0.0], [0.0, 1.0]],
    shift: [0.0; 2],
    blur: 0.0,
    contrast: 1.0,
    brightness: 1.0,
};

/// Smooth, and different in each channel.
fn waves(width: u32, height: u32) -> Picture {
    let value = |x: u32, y: u32, channel: u32| {
        let place = f64::from(x) / 9.0 + f64::from(y) / 7.0 + f64::from(channel);
        (127.0 + 100.0 * place.sin()) as u8
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| [0, 1, 2].map(|channel| value(x, y, channel))).collect();
    Picture::new(width, height, rgb).unwrap()
}

fn shown(change: &Change, picture: &Picture, corners: [u32; 4], size: usize) -> Vec<u8> {
    let mut out = vec![0; size * size * 3];
    change.frame(picture, corners, size, &mut out);
    out
}

/// Of all of a picture: what lies around a box shows through at its border.
#[test]
fn no_change_shows_the_plain_view() {
    for (width, height, size, most) in [(40, 35, 96, 1), (183, 141, 96, 8)] {
        let picture = waves(width, height);
        let mut plain = vec![0; size * size * 3];
        let framing = Framing { crop: Crop::Full, margin: 0.0, size };
        framing.frame_picture(&picture, None, &mut plain).unwrap();
        let found = shown(&PLAIN, &picture, [0, 0, width, height], size);
        let differences = plain.iter().zip(&found).map(|(a, b)| a.abs_diff(*b));
        let found = differences.max();
        assert!(found <= Some(most), "{width} x {height}: {found:?}");
    }
}

#[test]
fn a_shift_shows_the_pictures_own_pixels_and_then_its_border() {
    // Columns of 0, 10, 20, …; the box is the fourth and fifth of six.
    let row = (0..6).flat_map(|x| [x * 10; 3]).collect::<Vec<u8>>();
    let picture = Picture::new(6, 2, [row.clone(), row].concat()).unwrap();
    let shifted = |by| {
        let change = Change { shift: [by, 0.0], ..PLAIN };
        let out = shown(&change, &picture, [3, 0, 5, 2], 2);
        (out[0], out[3])
    };
    assert_eq!(shifted(0.0), (30, 40));
    assert_eq!(shifted(-0.5), (20, 30));
    assert_eq!(shifted(0.5), (40, 50));
    assert_eq!(shifted(1.0), (50, 50));
    // Further than a change goes: `AROUND` the box.
    assert_eq!(shifted(-2.0), (20, 20));
}

#[test]
fn a_quarter_turn_moves_columns_to_rows() {
    let turn = Change { matrix: [[0.0, -1.0], [1.0, 0.0]], ..PLAIN };
    let rgb: Vec<u8> = (0..4).flat_map(|pixel| [pixel * 50; 3]).collect();
    let picture = Picture::new(2, 2, rgb).unwrap();
    let out = shown(&turn, &picture, [0, 0, 2, 2], 2);
    // Where a target pixel's row grows, the source's column falls.
    assert_eq!([out[0], out[3], out[6], out[9]], [50, 150, 0, 100]);
}

#[test]
fn brightness_and_contrast_by_hand() {
    let picture = Picture::new(2, 1, vec![50, 50, 50, 150, 150, 150]).unwrap();
    let lit = |contrast, brightness| {
        let change = Change { contrast, brightness, ..PLAIN };
        let out = shown(&change, &picture, [0, 0, 2, 1], 2);
        (out[0], out[3])
    };
    // The mean is 100.
    assert_eq!(lit(0.5, 1.0), (75, 125));
    assert_eq!(lit(1.0, 0.5), (25, 75));
    assert_eq!(lit(1.0, 2.0), (100, 255));
    assert_eq!(lit(3.0, 1.0), (0, 250));
}

#[test]
fn a_blur_keeps_what_is_even_and_spreads_what_is_not() {
    let even = vec![[7.0; 4]; 81];
    assert!(blur(&even, 9, 1.5).iter().flatten().all(|value| (value - 7.0).abs() < 1e-4));
    let mut point = vec![[0.0; 4]; 81];
    point[40] = [1.0; 4];
    let found = blur(&point, 9, 1.0);
    let sum: f32 = found.iter().map(|pixel| pixel[0]).sum();
    // 1 / (2 π), less what lies between the pixels.
    assert!((sum - 1.0).abs() < 1e-3 && (found[40][0] - 0.159).abs() < 0.01, "{}", found[40][0]);
    assert!((found[31][0] - found[41][0]).abs() < 1e-6 && found[31][0] < found[40][0]);
}

#[test]
fn recipe_view_and_key_decide_and_nothing_else() {
    let (one, other) = (Hash::of(b"one"), Hash::of(b"other"));
    let first = Augmentation::new(1);
    assert_eq!(first.of(&one), first.of(&one));
    assert_ne!(first.of(&one), first.of(&other));
    assert_ne!(first.of(&one), Augmentation::new(2).of(&one));
    assert_ne!(first.of(&one), Augmentation { recipe: 0, view: 1 }.of(&one));
}

/// No change may look further than what its source holds.
#[test]
fn changes_stay_in_sight() {
    let mut blurred = 0;
    for number in 0..2000_u32 {
        let change = Augmentation::new(1).of(&Hash::of(&number.to_le_bytes()));
        blurred += u32::from(change.blur > 0.0);
        for corner in [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]] {
            for ([across, down], shift) in change.matrix.iter().zip(change.shift) {
                let place: f32 = across * corner[0] + down * corner[1] + shift;
                assert!(f64::from(place.abs()) < 0.5 + AROUND, "{change:?}");
            }
        }
    }
    assert!((400..600).contains(&blurred), "{blurred}");
}
