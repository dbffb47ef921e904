//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use stage::Common;

const EXAMPLE: &str = "\
A line a picture, in the order given, its columns divided by tabs: path, then label, name and
probability of each class wanted, then `unsure` below the threshold. With --json, an object a
picture, and the summary last.

The picture is seen whole: cut the sign's box out where the run was extracted with crop = \"roi\".

Examples:
  gtsrb-predict --config pipelines/gtsrb.toml sign.png folder/ --top 3
  find . -name '*.jpg' | gtsrb-predict --run runs/gtsrb --json -
  gtsrb-predict --run runs/mine --label-next 50 new/ --copy-to chosen > chosen.csv
  gtsrb-predict selftest --run runs/gtsrb
  gtsrb-predict demo --config pipelines/gtsrb.toml";

/// Says which class pictures show, by a run's model
#[derive(clap::Parser, Debug)]
#[command(version, after_help = EXAMPLE, subcommand_negates_reqs = true)]
pub struct Args {
    /// What to do instead of predicting.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Pictures, folders of pictures, patterns such as 'photos/**/*.jpg', or `-` for a path a line
    /// on standard input
    #[arg(required = true, value_name = "FILE_OR_FOLDER")]
    pub paths: Vec<PathBuf>,
    /// How many classes to name, the most probable first
    #[arg(long, value_name = "K", default_value = "1")]
    pub top: NonZeroUsize,
    /// A picture whose best probability is lower is unsure [default: the confidence that the run's
    /// evaluation chose for the accuracy wished there; without one, that from which 99 % are right
    /// of what training kept out]
    #[arg(long, value_name = "P", value_parser = probability)]
    pub threshold: Option<f32>,
    /// Also write path, predicted class and all probabilities to a Parquet file
    #[arg(long, value_name = "FILE")]
    pub parquet: Option<PathBuf>,
    /// Instead name the K pictures most worth labelling, doubtful and different ones, as CSV for
    /// `gtsrb-ingest --labels` with the best guess filled in
    #[arg(long, value_name = "K", conflicts_with_all = ["top", "threshold", "parquet"])]
    pub label_next: Option<NonZeroUsize>,
    /// Also copy them to DIR/CLASS/ by the best guess: who moves what is in the wrong folder has
    /// labelled them, and `gtsrb-ingest` reads the folders. DIR must be new or empty
    #[arg(long, value_name = "DIR", requires = "label_next")]
    pub copy_to: Option<PathBuf>,
    /// Flags of every stage.
    #[command(flatten)]
    pub common: Common,
}

/// Other things to do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Try the model on the few pictures of its golden file: does it say on this machine what it
    /// said where it was made?
    Selftest,
    /// Write a page that classifies pictures in a browser to RUN/demo
    ///
    /// It consists of static files and loads none from outside. Look at it through any web server:
    /// python3 -m http.server -d RUN/demo
    Demo,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

fn probability(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("must be 0 to 1".to_owned()) }
}
