//! One archive from its server: attempts, each of which goes on where the last one ended.

use std::fs::File;
use std::io::{Read, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use signs::archives::Archive;
use stage::{Error, Fault, Progress, Result, check_interrupt};

use crate::answer::{self, Answer};
use crate::client::{Client, Failure};
use crate::part::{Origin, Part};

/// Attempts without progress.
const ATTEMPTS: u32 = 5;
/// What counts as progress; a server that sends a byte an answer would keep us for ever.
const PROGRESS: u64 = 1 << 20;
/// A server that sends less than this many bytes a second is too slow.
const SLOWEST: f64 = 1024.0;
/// Bytes read at a time.
const BLOCK: usize = 1 << 18;
/// How often somebody who waits looks for signals.
const LOOK: Duration = Duration::from_millis(50);

/// A download.
pub struct Transfer<'a> {
    client: &'a Client,
    archive: &'a Archive,
    part: &'a Part,
    progress: &'a Progress,
    /// Bytes that were counted as progress.
    counted: u64,
    /// Whether the part holds bytes of several answers.
    spliced: bool,
}

impl<'a> Transfer<'a> {
    /// Of `archive` to `part`; begins nothing yet.
    pub fn new(
        client: &'a Client,
        archive: &'a Archive,
        part: &'a Part,
        progress: &'a Progress,
    ) -> Self {
        Self { client, archive, part, progress, counted: 0, spliced: true }
    }

    /// Fetches until the part has all its bytes; whether they are of more than one answer.
    ///
    /// # Errors
    /// [`Unavailable`](Fault::Unavailable) when attempts bring nothing any more,
    /// [`Data`](Fault::Data) where the server has another file. The part stays.
    pub fn complete(&mut self) -> Result<bool> {
        let url = self.client.url(self.archive);
        let (mut failed, mut reached) = (0, 0);
        loop {
            let (offset, version) = self.part.state(&url)?;
            self.count(offset);
            if offset == self.archive.bytes {
                return Ok(self.spliced);
            }
            if offset >= reached + PROGRESS {
                (failed, reached) = (0, offset);
            }
            let attempt = self.attempt(&url, offset, version);
            check_interrupt()?;
            let reason = match attempt {
                Ok(()) => continue,
                Err(Failure::Final(error)) => return Err(self.named(&error)),
                Err(Failure::Passing(reason)) => reason,
            };
            failed += 1;
            if failed == ATTEMPTS {
                return Err(self.named(&Error::unavailable(reason)));
            }
            self.wait(failed, &reason)?;
        }
    }

    /// One request and what comes of it.
    fn attempt(&mut self, url: &str, offset: u64, version: Option<String>) -> Answered {
        let mut response = self.client.get(url, offset, version.as_deref())?;
        let answer = answer::read(&mut response, self.archive, offset, version.as_deref())?;
        let (file, offset) = match answer {
            Answer::Rest => {
                self.spliced = true;
                (self.part.open(offset)?, offset)
            }
            Answer::Whole(version) => {
                self.spliced = false;
                (self.part.start(&Origin { url: url.to_owned(), version })?, 0)
            }
            Answer::Restart(reason) => {
                self.part.remove()?;
                return Err(Failure::Passing(reason.to_owned()));
            }
        };
        self.receive(&mut response.body_mut().as_reader(), file, offset)
    }

    /// Writes what comes behind `offset`.
    fn receive(&mut self, body: &mut impl Read, mut file: File, mut offset: u64) -> Answered {
        let mut buffer = vec![0; BLOCK];
        let mut rate = Rate::new(self.client.patience);
        // What follows the published number of bytes isn't read: the hash tells.
        while offset < self.archive.bytes {
            check_interrupt()?;
            let most = BLOCK.min((self.archive.bytes - offset) as usize);
            let read = match body.read(&mut buffer[..most]) {
                Ok(0) => return Err(Failure::Passing(self.cut_short(offset, &"it ended"))),
                Ok(read) => read,
                Err(e) => return Err(Failure::Passing(self.cut_short(offset, &e))),
            };
            file.write_all(&buffer[..read]).map_err(|e| Error::write(self.part.path(), &e))?;
            offset += read as u64;
            self.count(offset);
            if rate.is_too_slow(read) {
                return Err(Failure::Passing("fewer than 1024 bytes a second come".to_owned()));
            }
        }
        Ok(())
    }

    fn cut_short(&self, offset: u64, reason: &dyn std::fmt::Display) -> String {
        format!("the connection was cut after {offset} of {} bytes: {reason}", self.archive.bytes)
    }

    fn count(&mut self, offset: u64) {
        self.progress.inc(offset.saturating_sub(self.counted));
        self.counted = self.counted.max(offset);
    }

    /// Waits, twice as long after every failure, at last a quarter of the patience.
    fn wait(&self, failed: u32, reason: &str) -> Result<()> {
        let pause = self.client.patience.mul_f64(f64::from(1 << failed) / 64.0);
        tracing::warn!(
            "{}: {reason}; trying again in {:.1} seconds",
            self.archive.name,
            pause.as_secs_f64()
        );
        let until = Instant::now() + pause;
        while Instant::now() < until {
            check_interrupt()?;
            thread::sleep(LOOK.min(pause));
        }
        Ok(())
    }

    fn named(&self, error: &Error) -> Error {
        match error.fault() {
            Fault::Data => self.client.refuse(self.archive, &error.to_string()),
            _ => self.client.unavailable(self.archive, error),
        }
    }
}

/// How an attempt ended.
type Answered = std::result::Result<(), Failure>;

/// Bytes over stretches of time.
struct Rate {
    stretch: Duration,
    since: Instant,
    bytes: f64,
}

impl Rate {
    fn new(stretch: Duration) -> Self {
        Self { stretch, since: Instant::now(), bytes: 0.0 }
    }

    /// Adds what was read; whether a whole stretch brought too little.
    fn is_too_slow(&mut self, read: usize) -> bool {
        self.bytes += read as f64;
        let passed = self.since.elapsed();
        if passed < self.stretch {
            return false;
        }
        let too_slow = self.bytes < SLOWEST * passed.as_secs_f64();
        *self = Self::new(self.stretch);
        too_slow
    }
}
