//! Taps: what is taken of which layer, and the graph that ends in them.

use onnx_graph::pool::{self, Part};
use onnx_graph::shapes::{self, Shapes};
use onnx_graph::{Builder, Element, ModelProto, Size, attribute};
use stage::{Error, Result};

use crate::describe;
use crate::network::{IMAGE, Network, unusable};

/// No map is pooled finer.
const FINEST: usize = 64;

/// The setting that means every layer.
pub const EVERY: &str = "every";

/// The finest grid of [`every`] layer, and how many layers that is at most.
const EVERY_FINEST: usize = 14;
const EVERY_MOST: usize = 24;

/// A layer and what is taken of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// The layer's tensor.
    pub layer: String,
    /// Cells or class token.
    pub part: Part,
}

impl Tap {
    /// Reads `LAYER:GRID`, `LAYER:cls` or `LAYER`, which means `LAYER:1`. A layer's name may
    /// have colons of its own.
    pub fn parse(text: &str) -> Result<Self> {
        let tap = |layer: &str, part| Ok(Self { layer: layer.into(), part });
        match text.rsplit_once(':') {
            Some((layer, "cls")) => tap(layer, Part::ClassToken),
            Some((layer, grid)) if grid.bytes().all(|b| b.is_ascii_digit()) && !grid.is_empty() => {
                match grid.parse() {
                    Ok(g) if (1..=FINEST).contains(&g) => tap(layer, Part::Grid(g)),
                    _ => Err(Error::config(format!(
                        "backbone.taps: the grid of {text:?} must be 1 to {FINEST}; a layer \
                         whose own name ends so is written {text}:GRID"
                    ))),
                }
            }
            _ => tap(text, Part::Grid(1)),
        }
    }
}

impl std::fmt::Display for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.part {
            Part::Grid(g) => write!(f, "{}:{g}", self.layer),
            Part::ClassToken => write!(f, "{}:cls", self.layer),
        }
    }
}

/// Every layer, or of many layers some evenly spread ones, each on the finest grid of at most
/// [`EVERY_FINEST`] cells a side that its map is divided into evenly, so that what coarser grids
/// would give can be told from it.
///
/// # Errors
/// [`Data`](stage::Fault::Data) for a model that can't take pictures of this size or has no layer
/// of a known shape.
pub fn every(network: &Network) -> Result<Vec<Tap>> {
    let shapes = network.shapes(1).map_err(unusable)?;
    let finest = |side: usize| (1..=EVERY_FINEST).rev().find(|g| side.is_multiple_of(*g));
    let taps: Vec<Tap> = describe::layers(network, &shapes)
        .into_iter()
        .filter_map(|layer| {
            let grid = finest(pool::side(shapes.shape(&layer.name)?)?)?;
            Some(Tap { layer: layer.name, part: Part::Grid(grid) })
        })
        .collect();
    if taps.is_empty() {
        return Err(Error::data("the model has no layer that can be tapped"));
    }
    let count = taps.len().min(EVERY_MOST);
    // The last one, too.
    Ok((1..=count).map(|i| taps[i * taps.len() / count - 1].clone()).collect())
}

/// The network cut after its last tap, with the output `embedding` and, if wanted, `logits`.
/// Returns it with the embedding's length.
///
/// # Errors
/// [`Config`](stage::Fault::Config) for a layer that isn't there or has no such part,
/// [`Data`](stage::Fault::Data) for a model that can't take batches or pictures of this size.
pub fn attach(network: &Network, taps: &[Tap], top: bool) -> Result<(ModelProto, usize)> {
    for tap in taps {
        check_exists(network, tap)?;
    }
    let logits = top.then_some(network.logits.as_str());
    let wanted: Vec<&str> = taps.iter().map(|t| t.layer.as_str()).chain(logits).collect();
    let model = onnx_graph::cut(&network.model, &wanted).map_err(unusable)?;
    let shapes = batched_shapes(&model, network.size, &wanted)?;

    let mut b = Builder::extend(model).map_err(unusable)?;
    // Both outputs are nodes of their own before either is named: naming one may rename a
    // tensor of the model, even the one that the other is made of.
    let top = logits.map(|logits| (logits, b.node("Identity", &[logits], "top", vec![])));
    let dims = embedding(&mut b, taps, &shapes)?;
    if let Some((logits, top)) = top {
        let shape = shapes.shape(logits).unwrap_or_default();
        let rest = shape.iter().skip(1).map(|&d| Size::Fixed(d));
        let shape: Vec<Size> = [Size::Open("n")].into_iter().chain(rest).collect();
        let element = shapes.element(logits).unwrap_or(Element::F32);
        b.output(&top, "logits", element, &shape);
    }
    Ok((b.finish().map_err(unusable)?, dims))
}

/// Adds the output `embedding`, all taps side by side; returns its length.
fn embedding(b: &mut Builder, taps: &[Tap], shapes: &Shapes) -> Result<usize> {
    let (mut rows, mut dims) = (Vec::new(), 0);
    for tap in taps {
        let shape = shapes.shape(&tap.layer).unwrap_or_default();
        let element = shapes.element(&tap.layer);
        let (row, length) = pool::pool(b, &tap.layer, shape, element, tap.part)
            .map_err(|e| Error::config(format!("backbone.taps: {e}")))?;
        rows.push(row);
        dims += length;
    }
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let embedding = if let [row] = rows[..] {
        // A node of its own, so that naming the output renames nothing of the model's.
        b.node("Identity", &[row], "row_embedding", vec![])
    } else {
        let axis = vec![attribute::int("axis", 1)];
        b.node("Concat", &rows, "row_embedding", axis)
    };
    let shape = [Size::Open("n"), Size::Fixed(dims)];
    b.output(&embedding, "embedding", Element::F32, &shape);
    Ok(dims)
}

/// Shapes for one picture, after a proof that two pictures only make the batch larger.
fn batched_shapes(model: &ModelProto, size: usize, wanted: &[&str]) -> Result<Shapes> {
    let of = |n: usize| shapes::infer(model, &[(IMAGE, &[n, size, size, 3])]);
    let one = of(1)
        .map_err(|e| Error::data(format!("the model can't take {size}x{size} pictures: {e}")))?;
    let fixed = |why: String| {
        Error::data(format!(
            "the model takes one picture at a time ({why}); export it with an open batch"
        ))
    };
    let two = of(2).map_err(|e| fixed(e.to_string()))?;
    for &tensor in wanted {
        let unknown = || {
            Error::data(format!(
                "the shape of {tensor} can't be told: what {} makes isn't known here, or depends \
                 on the picture; tap a layer before it (gtsrb-backbone describe lists them), or \
                 export the model with fixed height and width",
                one.lost(tensor).unwrap_or("a node before it")
            ))
        };
        let (a, b) = one.shape(tensor).zip(two.shape(tensor)).ok_or_else(unknown)?;
        let batched = a.first() == Some(&1) && b.first() == Some(&2) && a[1..] == b[1..];
        if !batched {
            let why = format!("{tensor} is {a:?} for one picture and {b:?} for two");
            return Err(fixed(why));
        }
    }
    Ok(one)
}

fn check_exists(network: &Network, tap: &Tap) -> Result<()> {
    if network.layers.contains(&tap.layer) || network.features == tap.layer {
        return Ok(());
    }
    let mut near: Vec<(usize, &String)> =
        network.layers.iter().map(|l| (distance(l, &tap.layer), l)).collect();
    near.sort();
    let near: Vec<&str> = near.iter().take(5).map(|(_, l)| l.as_str()).collect();
    Err(Error::config(format!(
        "backbone.taps: the model has no layer {:?}; near are {} (gtsrb-backbone describe lists \
         all)",
        tap.layer,
        near.join(", ")
    )))
}

/// Levenshtein's distance; a name that contains the other is near.
fn distance(a: &str, b: &str) -> usize {
    if !b.is_empty() && a.contains(b) {
        return 0;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_split_at_a_last_colon_with_a_number() {
        let tap = |layer: &str, part| Tap { layer: layer.into(), part };
        assert_eq!(Tap::parse("block4:6").unwrap(), tap("block4", Part::Grid(6)));
        assert_eq!(Tap::parse("head").unwrap(), tap("head", Part::Grid(1)));
        assert_eq!(Tap::parse("a/b:0:2").unwrap(), tap("a/b:0", Part::Grid(2)));
        assert_eq!(Tap::parse("a:b").unwrap(), tap("a:b", Part::Grid(1)));
        assert_eq!(Tap::parse("a:cls").unwrap(), tap("a", Part::ClassToken));
        for bad in ["a:0", "a:65", "a:99999999999999999999999"] {
            assert_eq!(Tap::parse(bad).unwrap_err().fault().code(), 78, "{bad}");
        }
    }

    #[test]
    fn distances() {
        assert_eq!(distance("block4", "blok4"), 1);
        assert_eq!(distance("block14", "block"), 0);
        assert_eq!(distance("", "abc"), 3);
    }
}
