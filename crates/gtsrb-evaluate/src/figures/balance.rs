//! How many images and tracks each class has.

use figure::{Svg, shorten};

use crate::balance::{Amount, Balance};

/// Longest class name beside a row, in characters.
const NAME: usize = 50;
const TOP: f64 = 62.0;
const ROW: f64 = 20.0;

/// Length of the longest bar, and room for the number behind it.
const BAR: f64 = 250.0;
const NUMBER: f64 = 60.0;

/// A panel: what it is headed by and what it shows of a class.
type Panel = (&'static str, fn(&Amount) -> u64);

/// Draws two bars for each class, training and test; beside them how many tracks they are of, where
/// tracks are known.
#[must_use]
pub fn balance(balance: &[Balance]) -> String {
    let longest = balance.iter().map(|b| b.name.chars().count().min(NAME)).max().unwrap_or(0);
    let left = 50.0 + 6.6 * longest as f64;
    let has_tracks = balance.iter().any(|b| b.train.tracks + b.test.tracks > 0);
    let panels: &[Panel] = if has_tracks {
        &[("Images", |amount| amount.images), ("Tracks", |amount| amount.tracks)]
    } else {
        &[("Images", |amount| amount.images)]
    };
    let width = left + (BAR + NUMBER) * panels.len() as f64 + 10.0;
    let title = "Training and test images of each class";
    let mut svg = Svg::new(width.max(left + 300.0), TOP + ROW * balance.len() as f64 + 12.0, title);
    svg.text("title", (left, 18.0), title);
    legend(&mut svg, left);
    for (row, class) in balance.iter().enumerate() {
        let y = TOP + ROW * row as f64 + 13.0;
        svg.text("end", (left - 34.0, y), &shorten(&class.name, NAME));
        svg.text("end", (left - 12.0, y), &row.to_string());
    }
    for (panel, (name, value)) in panels.iter().enumerate() {
        let x = left + (BAR + NUMBER) * panel as f64;
        svg.text("soft", (x, TOP - 6.0), name);
        bars(&mut svg, x, balance, *value);
    }
    svg.finish()
}

fn legend(svg: &mut Svg, left: f64) {
    for (x, class, text) in [(left, "good", "training"), (left + 90.0, "third", "test")] {
        svg.rect(class, [x, 29.0, 12.0, 9.0], 1.0, text);
        svg.text("soft", (x + 17.0, 37.0), text);
    }
}

fn bars(svg: &mut Svg, left: f64, balance: &[Balance], value: fn(&Amount) -> u64) {
    let all = balance.iter().flat_map(|class| [value(&class.train), value(&class.test)]);
    let most = all.max().unwrap_or(0).max(1) as f64;
    for (row, class) in balance.iter().enumerate() {
        let top = TOP + ROW * row as f64;
        let parts = [("good", "training", &class.train), ("third", "test", &class.test)];
        for (part, (style, split, amount)) in parts.into_iter().enumerate() {
            let (count, y) = (value(amount), top + 2.0 + 8.0 * part as f64);
            if count > 0 {
                let length = (BAR * count as f64 / most).max(1.0);
                let tip = format!("{}: {count} ({split})", class.name);
                svg.rect(style, [left, y, length, 7.0], 1.0, &tip);
                svg.text("soft tiny", (left + length + 4.0, y + 6.5), &count.to_string());
            }
        }
    }
}
