//! What was tried as a picture: accuracy against bytes and against seconds.

use figure::{Axis, Curve, Panel, Svg};

use super::{Candidate, Probed};

impl Probed {
    /// Draws all candidates, those of backbones with random weights in grey, with the best that
    /// so many bytes, or seconds, give.
    pub fn draw(&self) -> String {
        let mut svg = Svg::new(960.0, 420.0, "Accuracy of linear heads on layers of backbones");
        self.panel(&mut svg, 60.0, "bytes of an embedding (f16)", |c| c.bytes as f64);
        self.panel(&mut svg, 540.0, "seconds for 1,000 pictures on one thread", |c| c.seconds);
        svg.finish()
    }

    fn panel(&self, svg: &mut Svg, left: f64, under: &str, cost: fn(&Candidate) -> f64) {
        let place = |c: &Candidate| (cost(c), 100.0 * c.accuracy);
        let panel = Panel {
            area: [left, 48.0, 390.0, 290.0],
            title: &format!("Accuracy in % on {} validation images", self.validation_images),
            under,
            x: Axis::log(self.candidates.iter().map(cost)),
            y: Axis::percent(self.candidates.iter().map(|c| place(c).1)),
        };
        let learned = self.candidates.iter().filter(|c| !self.backbones[c.backbone].random);
        panel.draw(svg, &[Curve::new("the best so far", "good", frontier(learned.map(place)))]);
        for candidate in &self.candidates {
            let random = self.backbones[candidate.backbone].random;
            let class = if random { "third" } else { "good" };
            panel.dot(svg, class, place(candidate), 2.0, &self.tip(candidate));
        }
        if let Some(best) = self.best.map(|best| &self.candidates[best]) {
            panel.dot(svg, "bad", place(best), 5.0, &self.tip(best));
            svg.text(
                "halo",
                (left + 150.0, 390.0),
                "red: the best within the budget; grey: random",
            );
        }
    }

    fn tip(&self, candidate: &Candidate) -> String {
        let about = &self.backbones[candidate.backbone];
        format!(
            "{} at {} px, {}: {:.2} %",
            about.name,
            about.size,
            candidate.taps.join(" + "),
            100.0 * candidate.accuracy
        )
    }
}

/// The points that none with a smaller x is above, x ascending.
fn frontier(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut points: Vec<_> = points.collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut most = f64::NEG_INFINITY;
    points.retain(|point| {
        let better = point.1 > most;
        most = most.max(point.1);
        better
    });
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_only_rises() {
        let points = [(3.0, 0.9), (1.0, 0.5), (2.0, 0.4), (1.0, 0.6), (4.0, 0.9)];
        assert_eq!(frontier(points.into_iter()), [(1.0, 0.6), (3.0, 0.9)]);
    }
}
