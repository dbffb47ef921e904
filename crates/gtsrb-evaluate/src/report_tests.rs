use std::collections::BTreeMap;

use artifact::images::Split;
use artifact::{FORMAT, Manifest, Work};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::balance::balance;
use crate::interval::Units;
use crate::metrics::{Details, measure, score_all};
use crate::quality::Finding;
use crate::training::{Look, Solver, Trial};

/// Predictions of a good classifier: mostly right, a few classes often confused.
fn metrics(names: &[String], images: usize) -> Metrics {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let classes = names.len();
    let labels: Vec<usize> = (0..images).map(|i| i % classes).collect();
    let mut p = Array2::from_elem((images, classes), 0.02_f32 / classes as f32);
    for (row, label) in labels.iter().enumerate() {
        let wrong = random.random_bool(if *label < 4 { 0.12 } else { 0.01 });
        let guess = if wrong { (label + random.random_range(1..4)) % classes } else { *label };
        let sure = random.random_range(0.5..0.97);
        p[[row, guess]] += sure;
        p[[row, *label]] += 0.98 - sure;
    }
    of(&labels, &p, names)
}

fn of(labels: &[usize], p: &Array2<f32>, names: &[String]) -> Metrics {
    let scored = score_all(labels, p);
    let details = Details::plain(&scored, p);
    measure(&scored, names, &Units::images(labels.len()), details)
}

fn look(at: usize) -> Look {
    let left = (-0.1 * at as f64).exp();
    Look {
        at,
        train_loss: 0.06 + 3.7 * left,
        validation_loss: 0.1 + 3.6 * left,
        validation_accuracy: 0.97 - 0.9 * left,
    }
}

fn training() -> Training {
    let trial = |i: i32| Trial {
        lambda: 10_f64.powi(i),
        train_accuracy: 1.0 - 0.01 * f64::from(i + 6),
        validation_accuracy: 0.96 - 0.004 * f64::from((i + 4).abs()),
        train_loss: 0.01 + 0.05 * f64::from(i + 6),
        validation_loss: 0.1 + 0.03 * f64::from((i + 4).abs()),
        calibrated_loss: 0.09 + 0.02 * f64::from((i + 4).abs()),
        curve: (0..30).map(|i| look(2 * i)).collect(),
    };
    Training {
        choice: "lowest log-loss".into(),
        temperature: 1.1,
        solver: Solver::Lbfgs { lambda: 1e-4, first: 0.1, path: (-6..0).map(trial).collect() },
        diagnosis: vec!["Training and validation differ by 2.1 points.".into()],
    }
}

fn render(names: &[String], mistakes: &[Mistake], name: &str) -> String {
    let (metrics, training) = (metrics(names, 2000), training());
    let work = Work {
        tool: "gtsrb-ingest".into(),
        version: "0.1.0".into(),
        parameters: json!({ "layout": "</pre><script>" }),
        inputs: BTreeMap::new(),
    };
    let manifest = Manifest {
        format: FORMAT,
        work,
        outputs: BTreeMap::new(),
        counters: BTreeMap::new(),
        facts: BTreeMap::new(),
    };
    let found = mistakes.iter().map(|mistake| Finding {
        split: Split::Train,
        row: 0,
        path: mistake.path.clone(),
        label: 0,
        suggested: Label::Class(1),
        about: mistake.path.clone(),
        twin: None,
    });
    let kind = Findings { name: "odd", meaning: "They are odd.".into(), found: found.collect() };
    let odd = [mistakes.iter().map(|mistake| vec![mistake.picture.clone()]).collect()];
    let quality = Quality { kinds: vec![kind], checked: 3 };
    let balance = balance(names, &[], &[]);
    let map = map(&metrics);
    let figures = Figures::draw(&metrics, &training, &balance, &map);
    let report = Report {
        name,
        metrics: &metrics,
        training: &training,
        confused: &[],
        mistakes,
        sprite: Some((format!("[\"{name}\"]"), sprite())),
        balance: &balance,
        quality: &quality,
        odd: &odd,
        manifests: &[manifest],
    };
    report.render(&figures).unwrap()
}

/// Every test image in one place.
fn map(metrics: &Metrics) -> Map {
    let classes = metrics.classes.len();
    Map { places: vec![[0.0; 2]], shares: [0.0; 2], labels: vec![0], predicted: vec![1], classes }
}

fn sprite() -> Sprite {
    Sprite { address: "data:image/jpeg;base64,AAAA".into(), columns: 1, every: 2 }
}

fn mistake(path: &str) -> Mistake {
    let scored =
        crate::metrics::Scored { label: 0, predicted: 1, rank: 1, confidence: 0.9, loss: 3.0 };
    Mistake {
        path: path.into(),
        scored,
        top: vec![(1, 0.9), (0, 0.05)],
        picture: "data:image/png;base64,AAAA".into(),
    }
}

#[test]
fn hostile_names_and_paths_stay_text() {
    let hostile =
        ["<img src=x onerror=alert(1)>", "</script><script>", "\"><svg onload=x>", "'{{7*7}}"];
    let names = hostile.map(str::to_owned);
    let mistakes: Vec<_> = hostile.iter().map(|path| mistake(path)).collect();
    let page = render(&names, &mistakes, "</title><script>");
    // Our page has one script and no picture but the galleries'; all of them are counted.
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<img").count(), 2 * mistakes.len() + 1);
    assert_eq!(page.matches("<svg").count(), 6);
    assert_eq!(page.matches("</title>").count(), 1 + page.matches("<title>").count() - 1);
    assert!(page.contains("{{7*7}}"));
    // What is left of a tag without its quoted values has no foreign attribute.
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let bare: String = tag.split('"').step_by(2).collect();
        assert!(!bare.contains("onerror") && !bare.contains("onload"), "{tag}");
    }
}

#[test]
fn a_flawless_classifier_claims_no_more_than_it_shows() {
    let names = ["a", "b"].map(str::to_owned);
    let p = ndarray::array![[1.0_f32, 0.0], [0.0, 1.0]];
    let metrics = of(&[0, 1], &p, &names);
    let interval = |card: &Card| (card.name, card.interval.is_empty());
    let cards: Vec<_> = cards(&metrics).iter().map(interval).collect();
    // Wilson's interval of top-1 stays; top-5 of two classes is no number.
    let empty = ["Macro recall", "Log-loss", "Calibration error"].map(|name| (name, true));
    assert_eq!(cards, [[("Top-1", false)].as_slice(), &empty].concat());
    assert!(
        !Figures::draw(&metrics, &training(), &[], &map(&metrics)).confusion.contains("errors")
    );
}

#[test]
fn page_is_self_contained() {
    let names: Vec<String> = (0..43).map(|i| format!("sign {i}")).collect();
    let page = render(&names, &[mistake("Test/00001.png")], "gtsrb");
    assert!(page.contains("default-src 'none'"));
    let foreign = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!foreign.contains("http:") && !foreign.contains("https:") && !foreign.contains("url("));
    assert!(page.len() < 1_000_000);
}

#[test]
fn the_page_runs_its_own_script_and_no_other() {
    let Some(python) = std::env::var_os("ORACLE_PYTHON") else {
        println!("skipped: ORACLE_PYTHON is not set (make test sets it)");
        return;
    };
    let program = "import base64, hashlib, re, sys
page = open(sys.argv[1], encoding='utf-8', newline='').read()
script = re.search('<script>(.*?)</script>', page, re.S).group(1)
digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
sys.exit(f\"script-src 'sha256-{digest}'\" not in page)";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    std::fs::write(&path, render(&["a", "b"].map(str::to_owned), &[mistake("x")], "tiny")).unwrap();
    let ran = std::process::Command::new(python).args(["-c", program]).arg(path).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
}
