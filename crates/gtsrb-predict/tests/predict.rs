//! The binary on a tiny run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may panic and say that they skip"
)]

mod run;

use std::process::{Command, Stdio};

use run::{Run, code, errors, has_runtime, lines};
use serde_json::Value;

#[test]
fn pictures_come_out_in_the_order_given() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let (red, green, blue) =
        (run.picture("z/r.png", 0), run.picture("a.png", 1), run.picture("m/n/b.png", 2));
    let ran = run.predict(&["--threads", "2"], &[&blue, &run.pictures(), &red]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let expected = [(&blue, 2), (&green, 1), (&blue, 2), (&red, 0), (&red, 0)];
    let said = lines(&ran);
    assert_eq!(said.len(), expected.len());
    for (line, (path, label)) in said.iter().zip(expected) {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns[..3], [path.to_str().unwrap(), &label.to_string(), run::CLASSES[label]]);
        assert!(columns[3].parse::<f32>().unwrap() > 0.5, "{line}");
        assert_eq!(columns.len(), 4, "{line}");
    }
}

#[test]
fn many_pictures_stay_in_order_whatever_the_threads() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let given: Vec<_> =
        (0..300).map(|i| run.picture(&format!("{i:03}.png"), i * i / 7 % 3)).collect();
    let given: Vec<_> = given.iter().map(std::path::PathBuf::as_path).collect();
    let [one, three] = ["1", "3"].map(|threads| {
        let table = run.file("table.parquet");
        let flags = ["--threads", threads, "--parquet", table.to_str().unwrap()];
        let ran = run.predict(&flags, &given);
        assert_eq!(code(&ran), 0, "{}", errors(&ran));
        (ran.stdout, std::fs::read(table).unwrap())
    });
    assert_eq!(one, three);
    assert_eq!(String::from_utf8(one.0).unwrap().lines().count(), 300);
}

#[test]
fn json_has_a_line_a_picture_and_the_summary_last() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let green = run.picture("g.png", 1);
    let ran = run.predict(&["--json", "--top", "3", "--threshold", "1"], &[&green]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let said: Vec<Value> =
        lines(&ran).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [picture, summary] = &said[..] else { panic!("{said:?}") };
    assert_eq!(picture["path"], green.to_str().unwrap());
    assert_eq!((&picture["label"], &picture["name"]), (&1.into(), &run::CLASSES[1].into()));
    assert_eq!(
        (&picture["sure"], &picture["top"][0]["probability"]),
        (&false.into(), &picture["probability"])
    );
    let total: f64 = (0..3).map(|k| picture["top"][k]["probability"].as_f64().unwrap()).sum();
    assert!((total - 1.0).abs() < 1e-5);
    assert_eq!(summary["summary"]["unsure"], 1);
}

#[test]
fn a_bad_picture_does_not_stop_the_others() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let (first, last) = (run.picture("a.png", 0), run.picture("c.png", 2));
    let bad = run.file("pictures/b.png");
    std::fs::write(&bad, &std::fs::read(&first).unwrap()[..40]).unwrap();
    // Nobody writes into this one.
    let pipe = run.file("pictures/d.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let table = run.file("table.parquet");
    let ran = run.predict(&["--parquet", table.to_str().unwrap()], &[&run.pictures()]);
    assert_eq!(code(&ran), 65);
    let said = lines(&ran);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with(first.to_str().unwrap()));
    assert!(said[1].starts_with(last.to_str().unwrap()));
    let log = errors(&ran);
    assert!(log.contains(bad.to_str().unwrap()) && log.contains("2 of 4"), "{log}");
    assert!(log.contains("d.png: not a file"), "{log}");
    assert!(table.exists());
}

#[test]
fn what_is_missing_is_named_before_anything_is_said() {
    let run = Run::new();
    let red = run.picture("r.png", 0);
    let ran = run.predict(&[], &[&red, &run.file("none.png")]);
    assert_eq!(code(&ran), 66);
    assert!(errors(&ran).contains("none.png"), "{}", errors(&ran));
    assert!(ran.stdout.is_empty());
    std::fs::remove_file(run.dir().join("model/manifest.json")).unwrap();
    let ran = run.predict(&[], &[&red]);
    assert_eq!(code(&ran), 66);
    assert!(errors(&ran).contains("gtsrb-train"), "{}", errors(&ran));
}

#[test]
fn wrong_flags_are_usage_errors() {
    let run = Run::new();
    let red = run.picture("r.png", 0);
    for (flags, named) in [
        (["--top", "4"], "3 classes"),
        (["--top", "0"], "--top"),
        (["--threshold", "1.5"], "--threshold"),
    ] {
        let ran = run.predict(&flags, &[&red]);
        assert_eq!(code(&ran), 64);
        assert!(errors(&ran).contains(named), "{}", errors(&ran));
    }
    let ran = run.predict(&[], &[]);
    assert_eq!(code(&ran), 64);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let run = Run::new();
    let red = run.picture("r.png", 0);
    let read = |name: &str| std::fs::read(run.model().join(name)).unwrap();
    let (head, whole) = (read("head.safetensors"), read("classifier.onnx"));
    // As text in the metadata, of the same length.
    let at = whole.windows(5).position(|text| text == b"\"roi\"").unwrap();
    let mut other = whole.clone();
    other[at..at + 5].copy_from_slice(b"\"ROI\"");
    let at = whole.windows(9).position(|text| text == b"\"margin\":").unwrap() + 9;
    let mut wider = whole;
    wider[at] = b'1';
    for (whole, named) in [(other, "not a view"), (wider, "of other embeddings")] {
        run.commit(&[("head.safetensors", &head), ("classifier.onnx", &whole)]);
        let ran = run.predict(&[], &[&red]);
        assert_eq!(code(&ran), 65);
        let log = errors(&ran);
        assert!(log.contains(named) && log.contains("run gtsrb-train again"), "{log}");
    }
}

#[test]
fn paths_come_on_standard_input() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let (red, blue) = (run.picture("r.png", 0), run.picture("b.png", 2));
    let list = run.file("list");
    let text = format!("{}\n\n/nowhere/x.png\n{}\n", blue.display(), red.display());
    std::fs::write(&list, text).unwrap();
    let list = std::fs::File::open(list).unwrap();
    let ran = run.command(&["-"]).stdin(list).output().unwrap();
    assert_eq!(code(&ran), 65, "{}", errors(&ran));
    assert!(errors(&ran).contains("/nowhere/x.png"), "{}", errors(&ran));
    let said = lines(&ran);
    assert!(
        said[0].starts_with(blue.to_str().unwrap()) && said[1].starts_with(red.to_str().unwrap())
    );
}

#[test]
fn patterns_that_no_shell_expanded_are_expanded() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let (blue, red) = (run.picture("a/b.png", 2), run.picture("a/r.png", 0));
    run.picture("a/.hidden.png", 1);
    let ran = run.predict(&[], &[&run.pictures().join("*/*.png")]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let said = lines(&ran);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with(&format!("{}\t2", blue.display())), "{said:?}");
    assert!(said[1].starts_with(&format!("{}\t0", red.display())), "{said:?}");
    let ran = run.predict(&[], &[&red, &run.pictures().join("*.ppm")]);
    assert_eq!(code(&ran), 66);
    assert!(errors(&ran).contains("nothing matches"), "{}", errors(&ran));
}

#[test]
fn what_to_label_next_is_doubtful_and_different() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    for number in 0..30 {
        run.picture(&format!("a/{number:02}.png"), number % 2);
        run.coloured(&format!("b/{number:02}.png"), [125, 120, 40]);
    }
    run.coloured("y/gb.png", [40, 125, 119]);
    run.coloured("z.png", [124, 40, 118]);
    let ran = run.predict(&["--label-next", "3"], &[&run.pictures()]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let said = lines(&ran);
    assert_eq!(said[0], "path,label,name,probability,second,margin");
    // The doubt of which there are many copies once, and the two others; nothing that is clear.
    let mut rows: Vec<Vec<&str>> = said[1..].iter().map(|line| line.split(',').collect()).collect();
    rows.sort();
    let guesses: Vec<[&str; 4]> = rows.iter().map(|row| [row[0], row[1], row[2], row[4]]).collect();
    let expected = [
        ["b/00.png", "0", "red", "green"],
        ["y/gb.png", "1", "green", "blue"],
        ["z.png", "0", "red", "blue"],
    ];
    assert_eq!(guesses, expected);
    let ran = run.predict(&["--label-next", "100", "--json"], &[&run.pictures()]);
    let said = lines(&ran);
    assert_eq!(said.len(), 63);
    let summary: Value = serde_json::from_str(&said[62]).unwrap();
    assert_eq!(summary["summary"]["to_label"], 62);
    let ran = run.predict(&["--label-next", "1", "--top", "2"], &[&run.pictures()]);
    assert_eq!(code(&ran), 64);
}

#[test]
fn what_to_label_is_copied_into_folders_of_classes() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    for (name, colour) in
        [("a.png", [124, 40, 118]), ("n/a.png", [125, 120, 40]), ("b.png", [40, 210, 40])]
    {
        run.coloured(name, colour);
    }
    let to = run.file("chosen");
    let flags = ["--label-next", "2", "--copy-to", to.to_str().unwrap()];
    let ran = run.predict(&flags, &[&run.pictures()]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let said = lines(&ran);
    assert_eq!(said.len(), 3, "{said:?}");
    let mut copies = Vec::new();
    for line in &said[1..] {
        let (path, label) = line.split_once(',').unwrap();
        assert!(path.starts_with("red/") && path.ends_with("-a.png"), "{line}");
        assert!(label.starts_with("0,red,"), "{line}");
        copies.push(std::fs::read(to.join(path)).unwrap());
    }
    let doubtful =
        ["a.png", "n/a.png"].map(|name| std::fs::read(run.pictures().join(name)).unwrap());
    assert!(doubtful.iter().all(|picture| copies.contains(picture)));
    let again = run.predict(&flags, &[&run.pictures()]);
    assert_eq!(code(&again), 73);
    assert!(errors(&again).contains("is not empty"), "{}", errors(&again));
    assert_eq!(code(&run.predict(&["--copy-to", "x"], &[&run.pictures()])), 64);
}

#[test]
fn hostile_names_stay_one_cell_of_one_line() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let names =
        ["=1+1", "+a", "-a", "@a", "\ta", "a\"b,c", "a\nb", "<img src=x onerror=b()>", "\u{202e}a"]
            .map(|name| format!("{name}.png"));
    for name in &names {
        run.picture(name, 1);
    }
    let ran = run.predict(&[], &[&run.pictures()]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let said = lines(&ran);
    assert_eq!(said.len(), names.len(), "{said:?}");
    assert!(said.iter().all(|line| line.split('\t').count() == 4 && !line.contains('\u{202e}')));
    let ran = run.predict(&["--label-next", "20"], &[&run.pictures()]);
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    let mut table = csv::Reader::from_reader(&ran.stdout[..]);
    let mut found: Vec<String> = table.records().map(|row| row.unwrap()[0].to_owned()).collect();
    found.sort();
    let mut wanted = names.map(|name| {
        if name.starts_with(['=', '+', '-', '@', '\t']) { format!("'{name}") } else { name }
    });
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    if !has_runtime() {
        return;
    }
    let run = Run::new();
    let red = run.picture("r.png", 0);
    let given = vec![red.to_str().unwrap(); 4000];
    let mut process =
        run.command(&given).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    let ran = process.wait_with_output().unwrap();
    assert_eq!(code(&ran), 0, "{}", errors(&ran));
    assert!(!errors(&ran).contains("error"), "{}", errors(&ran));
}
