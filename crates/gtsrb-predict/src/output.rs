//! Predictions to standard output and to a table, bad pictures to the log.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use ndarray::ArrayView1;
use stage::{Error, Result};

use crate::args::Args;
use crate::prediction::{Prediction, plain};
use crate::summary::Counts;
use crate::table::Table;

/// Says why nothing is said of a picture; counts it.
pub fn refuse(path: &Path, error: &Error) -> u64 {
    tracing::warn!("{}: {error}", plain(&path.display().to_string()));
    1
}

/// Where predictions go.
pub struct Output<'a> {
    args: &'a Args,
    classes: &'a [String],
    /// Answers of a lower probability are unsure.
    threshold: f32,
    stdout: BufWriter<StdoutLock<'static>>,
    /// Whether somebody still reads standard output.
    read: bool,
    table: Option<Table>,
    summary: Counts,
}

impl<'a> Output<'a> {
    /// Opens standard output and starts the table.
    ///
    /// # Errors
    /// [`Create`](stage::Fault::Create) where the table can't be written.
    pub fn open(args: &'a Args, classes: &'a [String], threshold: f32) -> Result<Self> {
        let start = |target: &std::path::PathBuf| Table::create(target, classes.len());
        Ok(Self {
            args,
            classes,
            threshold,
            stdout: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            read: true,
            table: args.parquet.as_ref().map(start).transpose()?,
            summary: Counts::default(),
        })
    }

    /// Writes what `probabilities`, `[classes]`, say of a picture.
    pub fn add(&mut self, path: &Path, probabilities: ArrayView1<'_, f32>) -> Result<()> {
        let (top, threshold) = (self.args.top.get(), self.threshold);
        let said = Prediction::of(path, probabilities, self.classes, top, threshold);
        let Some(prediction) = said else {
            return Err(Error::internal("a model without classes"));
        };
        self.summary.pictures += 1;
        self.summary.unsure += u64::from(!prediction.sure());
        if let Some(table) = &mut self.table {
            table.add(path, prediction.label(), probabilities)?;
        }
        let line = if self.args.common.json {
            serde_json::to_string(&prediction)
                .map_err(|e| Error::internal(format!("a prediction as JSON: {e}")))?
        } else {
            prediction.to_string()
        };
        self.print(|stdout| writeln!(stdout, "{line}"))
    }

    /// Counts a picture of which nothing is said, and says why.
    pub fn refuse(&mut self, path: &Path, error: &Error) {
        self.summary.bad += refuse(path, error);
    }

    /// Hands what was printed to whoever reads it.
    pub fn flush(&mut self) -> Result<()> {
        self.print(Write::flush)
    }

    /// Whether there is nobody left to write to.
    pub fn is_closed(&self) -> bool {
        !self.read && self.table.is_none()
    }

    /// Completes the table.
    pub fn finish(mut self) -> Result<Counts> {
        self.flush()?;
        // What is left of a buffer that nobody reads must not be tried again.
        let (_stdout, _unread) = self.stdout.into_parts();
        self.table.map_or(Ok(()), Table::finish)?;
        Ok(self.summary)
    }

    fn print(
        &mut self,
        write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
    ) -> Result<()> {
        if !self.read {
            return Ok(());
        }
        match write(&mut self.stdout) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.read = false;
                Ok(())
            }
            Err(e) => Err(Error::io(format!("cannot write to standard output: {e}"))),
            Ok(()) => Ok(()),
        }
    }
}
