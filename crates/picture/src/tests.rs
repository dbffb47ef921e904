use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};
use proptest::prelude::*;

use super::*;

/// 3 x 2 pixels, all channels different.
fn small() -> Picture {
    Picture::new(3, 2, (0..18).map(|i| i * 14).collect()).unwrap()
}

fn png_of(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn jpeg_of(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .write_image(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

/// `jpeg` with an EXIF segment that says `orientation`.
fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() + 2) as u16;
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), &exif, &jpeg[2..]].concat()
}

fn reason(bytes: &[u8]) -> String {
    Picture::decode(bytes).unwrap_err().to_string()
}

#[test]
fn ppm_and_png_carry_the_same_pixels() {
    let picture = small();
    let png = picture.to_png().unwrap();
    assert_eq!(Picture::decode(&picture.to_ppm()).unwrap(), picture);
    assert_eq!(Picture::decode(&png).unwrap(), picture);
    assert_eq!(png, picture.to_png().unwrap());
}

#[test]
fn the_hash_knows_the_dimensions() {
    let wide = small();
    let high = Picture::new(2, 3, wide.rgb().to_vec()).unwrap();
    assert_ne!(wide.hash(), high.hash());
    assert!(Picture::new(3, 3, vec![0; 18]).is_none());
}

#[test]
fn ppm_headers_may_have_comments() {
    let ppm = b"P6 # made by hand\n# 2 lines\n1\t1\n#!\n255\n\x01\x02\x03";
    assert_eq!(Picture::decode(ppm).unwrap().rgb(), [1, 2, 3]);
}

#[test]
fn ppm_must_be_exact() {
    let good = small().to_ppm();
    assert!(reason(&good[..good.len() - 1]).contains("17 bytes of pixels, not 18"));
    assert!(reason(&[&good[..], b"\n"].concat()).contains("19 bytes of pixels, not 18"));
}

#[test]
fn hostile_ppm_headers_are_refused() {
    for (header, wanted) in [
        ("P6 4294967292 0 255\n", "its size is 4294967292x0"),
        ("P6 66666665 5 255\n", "too many"),
        ("P6 16000 16000 255\n", "too many"),
        ("P6 99999999999999999999 1 255\n", "header"),
        ("P6 1 1 0\n", "maximum is 0"),
        ("P6 1 1 65535\n", "maximum is 65535"),
        ("P6 1 1 255", "does not end"),
        ("P61 1 255\n", "header"),
        ("P6 -1 1 255\n", "header"),
        ("P6", "header"),
        ("P3 1 1 255\n1 2 3", "convert"),
    ] {
        let message = reason(header.as_bytes());
        assert!(message.contains(wanted), "{header:?}: {message}");
    }
    assert!(reason(format!("P6 #{}", "x".repeat(1 << 20)).as_bytes()).contains("header"));
    assert!(reason(format!("P6 {}", "1".repeat(1 << 20)).as_bytes()).contains("header"));
}

#[test]
fn other_formats_are_named() {
    assert!(reason(b"").contains("empty"));
    assert!(reason(b"<html>").contains("not a picture"));
    assert!(reason(b"\0\0\0\x18ftypheic....").contains("HEIC"));
    assert!(reason(b"RIFF\0\0\0\0WEBPVP8 ").contains("WebP"));
}

#[test]
fn odd_but_valid_pngs_become_rgb() {
    let rgb = |png: Vec<u8>| Picture::decode(&png).unwrap().into_rgb();
    assert_eq!(rgb(png_of(ImageBuffer::from_pixel(1, 1, Luma([7u8])))), [7, 7, 7]);
    assert_eq!(rgb(png_of(ImageBuffer::from_pixel(1, 1, LumaA([7u8, 0])))), [7, 7, 7]);
    assert_eq!(rgb(png_of(ImageBuffer::from_pixel(1, 1, Rgba([1u8, 2, 3, 0])))), [1, 2, 3]);
    let deep = ImageBuffer::from_pixel(1, 1, Rgb([0u16, 0x0101, 0xffff]));
    assert_eq!(rgb(png_of(deep)), [0, 1, 255]);
}

#[test]
fn a_damaged_png_is_refused() {
    let good = small().to_png().unwrap();
    for cut in 8..good.len() - 12 {
        assert!(Picture::decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    let mut flipped = good.clone();
    let middle = good.len() - 20;
    flipped[middle] ^= 1;
    assert!(reason(&flipped).contains("damaged"));
}

#[test]
fn a_png_bomb_is_refused_by_its_header() {
    let mut png = small().to_png().unwrap();
    png[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    assert!(Picture::decode(&png).is_err());
}

#[test]
fn exif_orientation_is_applied() {
    let picture = Picture::new(16, 8, [200, 10, 10].repeat(128)).unwrap();
    let jpeg = jpeg_of(&picture);
    let upright = Picture::decode(&jpeg).unwrap();
    assert_eq!((upright.width(), upright.height()), (16, 8));
    let side = Picture::decode(&turned(&jpeg, 6)).unwrap();
    assert_eq!((side.width(), side.height()), (8, 16));
}

#[test]
fn a_cut_jpeg_is_refused_and_a_tail_is_allowed() {
    let picture = Picture::new(64, 64, (0..64 * 64 * 3).map(|i| (i * 37) as u8).collect()).unwrap();
    let jpeg = jpeg_of(&picture);
    for cut in [jpeg.len() - 2, jpeg.len() / 2, 20, 4] {
        assert!(Picture::decode(&jpeg[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Picture::decode(&[&jpeg[..], b"a preview"].concat()).is_ok());
}

proptest! {
    #[test]
    fn any_picture_survives_png_and_ppm(width in 1u32..40, height in 1u32..40, seed: u8) {
        let rgb = (0..width * height * 3).map(|i| (i.wrapping_mul(31) as u8) ^ seed).collect();
        let picture = Picture::new(width, height, rgb).unwrap();
        prop_assert_eq!(&Picture::decode(&picture.to_png().unwrap()).unwrap(), &picture);
        prop_assert_eq!(&Picture::decode(&picture.to_ppm()).unwrap(), &picture);
    }

    #[test]
    fn damaged_bytes_never_panic(kind in 0usize..3, at: usize, byte: u8, keep: usize) {
        let picture = Picture::new(9, 7, (0..189).collect()).unwrap();
        let mut bytes = [picture.to_ppm(), picture.to_png().unwrap(), jpeg_of(&picture)][kind].clone();
        let at = at % bytes.len();
        bytes[at] ^= byte;
        bytes.truncate(keep % bytes.len() + 1);
        let _ = Picture::decode(&bytes);
    }
}
