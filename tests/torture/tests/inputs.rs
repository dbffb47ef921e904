//! Inputs that are too large, too many, or made to hurt.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use torture::{Ground, noise, run, under, works};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Memory that no stage may need for anything below.
const LITTLE: &str = "--as=1500000000";

const HEADER: &str = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n";

/// Writes a table.
type Write = fn(&mut File);

/// A source in Kaggle's layout whose training table `write` writes.
fn tables(ground: &Ground, write: impl FnOnce(&mut File)) {
    let source = ground.path("source");
    fs::remove_dir_all(&source).unwrap();
    fs::create_dir_all(source.join("Test")).unwrap();
    ground.picture("Train/0/00000_00000_00000.ppm", 1);
    ground.picture("Test/00000.ppm", 2);
    fs::write(source.join("Test.csv"), format!("{HEADER}24,24,1,1,22,22,0,Test/00000.ppm\n"))
        .unwrap();
    write(&mut File::create(source.join("Train.csv")).unwrap());
}

#[test]
fn lines_without_end_and_tables_without_bounds() {
    if !works(&["prlimit", LITTLE]) {
        return;
    }
    let cases: [(Write, &str); 4] = [
        (|file| file.write_all(&vec![b'1'; 60 << 20]).unwrap(), "a line of more than 64 KiB"),
        (
            |file| {
                file.write_all(format!("{HEADER}\"").as_bytes()).unwrap();
                file.write_all(&b"1,2\n".repeat(1 << 20)).unwrap();
            },
            "a quote that does not end",
        ),
        (|file| file.set_len(10 << 30).unwrap(), "bytes are too many"),
        (
            |file| {
                file.seek(SeekFrom::Start(30 << 20)).unwrap();
                file.write_all(b"\n").unwrap();
            },
            "Train.csv",
        ),
    ];
    for (write, wanted) in cases {
        let ground = Ground::new();
        tables(&ground, write);
        let ended = run(&mut under(&["prlimit", LITTLE], &ground.ingest("run")));
        ended.badly(&[65], wanted);
        assert!(ground.images("run").is_empty());
    }
}

#[test]
fn names_of_every_kind() {
    let ground = Ground::new();
    for (number, name) in [
        "-rf.ppm",
        "a\nb.ppm",
        "a\"b'c.ppm",
        "\u{1b}[31mred.ppm",
        "a\u{202e}mpp.ppm",
        "e\u{301}.ppm",
        "\u{e9}.ppm",
        " space .ppm",
        "100%25.ppm",
        "=1+1.ppm",
    ]
    .into_iter()
    .enumerate()
    {
        ground.picture(&format!("cat/{name}"), 100 + number as u32);
    }
    ground.picture(&format!("cat/{}.ppm", "n".repeat(251)), 200);
    let ended = run(&mut ground.ingest("run"));
    ended.well();
    assert!(!ended.stderr.contains('\u{1b}') && !ended.stdout.contains('\u{1b}'));
    // One that is no text is named, and not taken under another name.
    let name = OsString::from_vec(b"cat/\xff\xfe.ppm".to_vec());
    fs::write(ground.path("source").join(name), noise(24, 24, 300)).unwrap();
    run(&mut ground.ingest("run")).badly(&[65], "not UTF-8");
    // A damaged one with a hostile name writes nothing to a terminal.
    let ground = Ground::new();
    fs::write(ground.path("source/cat/\u{1b}]0;title\u{7}.ppm"), "P6").unwrap();
    let ended = run(&mut ground.ingest("run"));
    ended.badly(&[65], "\\u{1b}");
    assert!(!ended.stderr.contains(['\u{1b}', '\u{7}']));
}

#[test]
fn paths_that_are_too_long() {
    let ground = Ground::new();
    let long = "x/".repeat(2100);
    run(&mut ground.ingest(&long)).badly(&[73], "cannot write");
    let mut stage = ground.stage("ingest", "run");
    let ended = run(stage.arg("--source").arg(ground.path(&long)));
    ended.badly(&[66, 74], "cannot read");
}

#[test]
#[ignore = "slow: make torture"]
fn many_files_in_any_order() {
    let (one, two) = (Ground::new(), Ground::new());
    for number in 0..200_000_u32 {
        one.picture(&format!("cat/{number:06}.ppm"), number + 1000);
        let reversed = 199_999 - number;
        two.picture(&format!("cat/{reversed:06}.ppm"), reversed + 1000);
    }
    run(&mut one.ingest("run")).well();
    let little = ["prlimit", "--as=700000000"];
    if works(&little) {
        run(&mut under(&little, &two.ingest("run"))).well();
    } else {
        run(&mut two.ingest("run")).well();
    }
    assert!(one.images("run") == two.images("run"));
}

/// A PNG chunk with its checksum.
fn chunk(kind: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind.as_bytes());
    bytes.extend(data);
    let mut crc = !0_u32;
    for byte in &bytes[4..] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (!(crc & 1)).wrapping_add(1));
        }
    }
    bytes.extend((!crc).to_be_bytes());
    bytes
}

/// zlib's form of `data`, stored.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    let mut bytes = vec![0x78, 1, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(data);
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    bytes.extend(((b << 16) | a).to_be_bytes());
    bytes
}

/// A PNG of 2 × 2 pixels with `more` chunks before its pixels.
fn png(width: u32, more: &[Vec<u8>]) -> Vec<u8> {
    let mut head = width.to_be_bytes().to_vec();
    head.extend(2_u32.to_be_bytes());
    head.extend([8, 2, 0, 0, 0]);
    let pixels = [0_u8, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12];
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk("IHDR", &head));
    bytes.extend(more.concat());
    bytes.extend(chunk("IDAT", &stored(&pixels)));
    bytes.extend(chunk("IEND", &[]));
    bytes
}

/// A gigabyte of zeros, packed by repeating one block of it.
fn bomb() -> Vec<u8> {
    // A block of deflate that gives 258 zeros a bit pair would need an encoder: the tool's own.
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("x", packed()).unwrap();
    let zeros = vec![0_u8; 1 << 20];
    (0..512).for_each(|_| zip.write_all(&zeros).unwrap());
    let archive = zip.finish().unwrap().into_inner();
    // The local header is 30 bytes and the name long; the data end where the directory begins.
    let extra = u16::from_le_bytes([archive[28], archive[29]]) as usize;
    let end = archive.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    archive[31 + extra..end].to_vec()
}

fn packed() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

#[test]
fn texts_in_pictures_stay_packed() {
    if !works(&["prlimit", "--as=600000000"]) {
        return;
    }
    let ground = Ground::new();
    let packed = [vec![0x78, 0x9c], bomb()].concat();
    let text = chunk("zTXt", &[b"Comment\0\0".to_vec(), packed.clone()].concat());
    let profile = chunk("iCCP", &[b"icc\0\0".to_vec(), packed].concat());
    let many: Vec<_> = (0..100_000).map(|_| chunk("tEXt", b"a\0b")).collect();
    for (number, more) in [vec![text], vec![profile], many].iter().enumerate() {
        fs::write(ground.path(&format!("source/cat/{number}.png")), png(2, more)).unwrap();
        let name = format!("run{number}");
        let ended = run(&mut under(&["prlimit", "--as=600000000"], &ground.ingest(&name)));
        assert!(matches!(ended.code, Some(0 | 65)), "{ended:?}");
        fs::remove_file(ground.path(&format!("source/cat/{number}.png"))).unwrap();
    }
    // The same pixels again would be a duplicate: a wide one that isn't there.
    fs::write(ground.path("source/cat/wide.png"), png(50_000, &[])).unwrap();
    let little = ["prlimit", "--as=600000000"];
    run(&mut under(&little, &ground.ingest("wide"))).badly(&[65], "limit");
}

/// An official archive of training pictures that begins as `write` says, beside two good ones.
fn archive(dir: &Path, write: impl FnOnce(&mut ZipWriter<File>)) {
    fs::create_dir_all(dir).unwrap();
    let mut zip =
        ZipWriter::new(File::create(dir.join("GTSRB_Final_Training_Images.zip")).unwrap());
    write(&mut zip);
    let header = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2";
    zip.start_file("GTSRB/Final_Training/Images/00000/GT-00000.csv", packed()).unwrap();
    write!(zip, "{header};ClassId\r\n00000_00000.ppm;24;24;1;1;22;22;0\r\n").unwrap();
    zip.finish().unwrap();
    let truth = format!("{header};ClassId\r\n00000.ppm;24;24;1;1;22;22;0\r\n").into_bytes();
    for (name, entry, bytes) in [
        ("GTSRB_Final_Test_Images.zip", "GTSRB/Final_Test/Images/00000.ppm", noise(24, 24, 1)),
        ("GTSRB_Final_Test_GT.zip", "GT-final_test.csv", truth),
    ] {
        let mut zip = ZipWriter::new(File::create(dir.join(name)).unwrap());
        zip.start_file(entry, packed()).unwrap();
        zip.write_all(&bytes).unwrap();
        zip.finish().unwrap();
    }
}

const ENTRY: &str = "GTSRB/Final_Training/Images/00000/00000_00000.ppm";

#[test]
fn archives_that_unpack_to_too_much() {
    let ground = Ground::new();
    let zips = ground.path("zips");
    let ingest = |run: &str| {
        let mut command = ground.stage("ingest", run);
        command.arg("--source").arg(&zips);
        command
    };
    archive(&zips, |zip| {
        zip.start_file(ENTRY, packed()).unwrap();
        let zeros = vec![0_u8; 1 << 20];
        (0..100).for_each(|_| zip.write_all(&zeros).unwrap());
    });
    run(&mut ingest("one")).badly(&[65], "GTSRB_Final_Training_Images.zip");
    archive(&zips, |zip| {
        let zeros = vec![0_u8; 1 << 20];
        for number in 0..40 {
            zip.start_file(format!("{ENTRY}{number}"), packed()).unwrap();
            zip.write_all(&zeros).unwrap();
        }
    });
    let mut limited = ingest("total");
    run(limited.args(["--max-bytes", "30000000"])).badly(&[65], "--max-bytes");
    let mut limited = ingest("members");
    run(limited.args(["--max-members", "20"])).badly(&[65], "--max-members");
    let mut limited = ground.ingest("pixels");
    run(limited.args(["--max-pixels", "500"])).badly(&[65], "24x24 pixels are too many");
}

#[test]
fn archives_of_other_methods() {
    let ground = Ground::new();
    let zips = ground.path("zips");
    archive(&zips, |zip| {
        zip.start_file(ENTRY, packed()).unwrap();
        zip.write_all(&noise(24, 24, 7)).unwrap();
    });
    let path = zips.join("GTSRB_Final_Training_Images.zip");
    let whole = fs::read(&path).unwrap();
    let directory = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let ingest = || {
        let mut command = ground.stage("ingest", "run");
        command.arg("--source").arg(&zips);
        run(&mut command)
    };
    assert_eq!(ingest().code, Some(0));
    fs::remove_dir_all(ground.path("run")).unwrap();
    // Encrypted; methods that nobody reads here; a name that differs.
    for (local, central, value) in [(6, 8, 1), (8, 10, 14), (8, 10, 9), (30, 0, b'X')] {
        let mut bytes = whole.clone();
        bytes[local] = value;
        if central > 0 {
            bytes[directory + central] = value;
        }
        fs::write(&path, bytes).unwrap();
        let ended = ingest();
        ended.badly(&[65], "GTSRB_Final_Training_Images.zip");
        assert!(ground.images("run").is_empty());
    }
    // Bytes before and behind.
    fs::write(&path, [b"junk".as_slice(), &whole, b"more"].concat()).unwrap();
    let ended = ingest();
    assert!(matches!(ended.code, Some(0 | 65)), "{ended:?}");
}

#[test]
fn little_memory() {
    let little = ["prlimit", "--as=64000000"];
    if !works(&little) {
        return;
    }
    let ground = Ground::new();
    run(&mut ground.ingest("golden")).well();
    let golden = ground.images("golden");
    run(&mut under(&little, &ground.ingest("run"))).well();
    assert!(ground.images("run") == golden);
    // Below every floor it may die, but leaves no half artifact.
    for bytes in (1..16).map(|step| step * 1_000_000) {
        let limit = format!("--as={bytes}");
        run(&mut under(&["prlimit", &limit], &ground.ingest("none")));
        let images = ground.images("none");
        assert!(!images.contains_key("manifest.json") || images == golden);
    }
    ground.recovers("none", &golden);
}
