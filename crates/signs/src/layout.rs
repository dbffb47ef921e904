//! The official layout: where the archives of GTSRB put pictures and tables.
//!
//! ```text
//! GTSRB/Final_Training/Images/CCCCC/TTTTT_FFFFF.ppm    class, track, frame
//! GTSRB/Final_Training/Images/CCCCC/GT-CCCCC.csv       one table a class
//! GTSRB/Final_Test/Images/NNNNN.ppm                    shuffled, no tracks
//! GTSRB/Final_Test/Images/GT-final_test.test.csv       without the class
//! GT-final_test.csv                                    with it, in an archive of its own
//! ```
//! Tables are `;`-separated with CRLF ends and no quoting; the corners of the region of
//! interest (ROI) are inclusive.

/// Archive with [`TRAIN_DIR`].
pub const TRAIN_ARCHIVE: &str = "GTSRB_Final_Training_Images.zip";
/// Archive with [`TEST_DIR`].
pub const TEST_ARCHIVE: &str = "GTSRB_Final_Test_Images.zip";
/// Archive with [`TEST_TRUTH`].
pub const TEST_TRUTH_ARCHIVE: &str = "GTSRB_Final_Test_GT.zip";

/// Folder of the training classes' folders.
pub const TRAIN_DIR: &str = "GTSRB/Final_Training/Images";
/// Folder of the test pictures.
pub const TEST_DIR: &str = "GTSRB/Final_Test/Images";
/// Table of the test pictures without their classes.
pub const TEST_CSV: &str = "GTSRB/Final_Test/Images/GT-final_test.test.csv";
/// Table of the test pictures with their classes.
pub const TEST_TRUTH: &str = "GT-final_test.csv";

/// Separator of the tables' fields.
pub const DELIMITER: u8 = b';';
/// End of the tables' lines.
pub const LINE_END: &str = "\r\n";
/// Columns of a table without classes ([`TEST_CSV`]).
pub const COLUMNS: [&str; 7] =
    ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"];
/// The column that tables with classes add at the end.
pub const CLASS_COLUMN: &str = "ClassId";

/// Frames of a track. One track of the final set (class 33) has 29.
pub const TRACK_FRAMES: u32 = 30;
/// Border around the sign: this share of the sign's size ...
pub const BORDER: f32 = 0.1;
/// ... but at least so many pixels.
pub const MIN_BORDER: u32 = 5;

/// Folder name of a class: `00014`.
#[must_use]
pub fn class_dir(class: u8) -> String {
    format!("{class:05}")
}

/// Name of a training frame in its class's folder and table: `00002_00029.ppm`.
#[must_use]
pub fn frame_name(track: u32, frame: u32) -> String {
    format!("{track:05}_{frame:05}.ppm")
}

/// Path of a training frame from the data set's root.
#[must_use]
pub fn train_image(class: u8, track: u32, frame: u32) -> String {
    format!("{TRAIN_DIR}/{}/{}", class_dir(class), frame_name(track, frame))
}

/// Path of a class's training table from the data set's root.
#[must_use]
pub fn train_csv(class: u8) -> String {
    format!("{TRAIN_DIR}/{0}/GT-{0}.csv", class_dir(class))
}

/// Name of a test picture in its folder and table: `00000.ppm`.
#[must_use]
pub fn test_name(number: u32) -> String {
    format!("{number:05}.ppm")
}

/// Path of a test picture from the data set's root.
#[must_use]
pub fn test_image(number: u32) -> String {
    format!("{TEST_DIR}/{}", test_name(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_official_ones() {
        assert_eq!(train_image(7, 2, 29), "GTSRB/Final_Training/Images/00007/00002_00029.ppm");
        assert_eq!(train_csv(42), "GTSRB/Final_Training/Images/00042/GT-00042.csv");
        assert_eq!(test_image(12_629), "GTSRB/Final_Test/Images/12629.ppm");
        assert!(TEST_CSV.starts_with(TEST_DIR));
    }
}
