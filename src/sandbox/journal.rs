//! What survives a restart: a file of JSON lines that is only ever added to.
//!
//! Each line holds one thing as it is now; read from the beginning, the last line of a thing holds. What one call changed is
//! one write, and on the disk before the call is answered. A last line without its end was never answered: it is cut off.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::{Dispute, Event, Method, Movement, Payment, Payout, Refund, Remembered, Session, SetupIntent};

/// A journal that is larger than this is not read, in bytes.
const LARGEST: u64 = 1024 * 1024 * 1024;

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first line: what names are made from.
    Seed(u64),
    /// How many names and numbers were taken so far.
    Count(u64),
    Session(Session),
    Payment(Payment),
    Method(Method),
    SetupIntent(SetupIntent),
    Refund(Refund),
    Dispute(Dispute),
    Movement(Movement),
    Payout(Payout),
    Event(Event),
    Remembered(Remembered),
    /// An event is through at every endpoint, or given up.
    Delivered(String),
}

/// How often and how long apart the file's lock is asked for: one that is just ending, or a program that it starts at that
/// moment, holds it a little longer.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Takes the file for this process alone.
fn lock(file: &File) -> std::io::Result<()> {
    for _ in 1..LOCK_TRIES {
        if file.try_lock().is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    file.try_lock().map_err(|_| std::io::Error::other("another sandbox is at work with it"))
}

/// The file, open for adding.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Opens the file, made when it is missing, and gives its lines.
    pub fn open(path: &Path) -> std::io::Result<(Self, Vec<Record>)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if file.metadata()?.len() > LARGEST {
            return Err(std::io::Error::other("it is larger than a sandbox's state can be: expected at most 1 GB"));
        }
        lock(&file)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut records = Vec::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let record = serde_json::from_str(line).map_err(|error| std::io::Error::other(format!("line {}: {error}", index + 1)))?;
            records.push(record);
        }
        if whole < text.len() {
            log::warn!("{}: the last line has no end and is cut off", path.display());
            file.set_len(u64::try_from(whole).unwrap_or(0))?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok((Self { file }, records))
    }

    /// Adds lines in one write; `durable` waits until they are on the disk.
    pub fn add(&mut self, records: &[Record], durable: bool) -> std::io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }
}
