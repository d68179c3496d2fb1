//! Leases: one runner at a time for a piece of work, and a quick successor when it dies.
//!
//! A lease only keeps two runners out of each other's way. What is right does not depend on it: every chunk is
//! committed with a check of its state, so a runner that lost its lease cannot do anything twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta};

use super::stop::Stop;
use super::{ActionError, Context};
use crate::db::operations::{self, LeaseRow};

/// A lease that is held and kept alive until it is dropped.
pub struct Lease {
    context: Context,
    name: String,
    token: i64,
    lost: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    asked: Stop,
    heart: Option<thread::JoinHandle<()>>,
}

/// How often a waiting runner looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Lease {
    /// Takes the lease. A dead holder on this machine is succeeded at once, any other when its time is over; a
    /// holder that shows signs of life is not waited for.
    ///
    /// # Errors
    /// [`ActionError::Busy`] when another runner is alive.
    pub fn take(context: &Context, name: &str) -> Result<Self, ActionError> {
        let me = this_process();
        let mut first_expiry: Option<NaiveDateTime> = None;
        loop {
            let seen = context.database.read(|conn| operations::lease(conn, name))?;
            let free = seen.as_ref().is_none_or(|lease| lease.expires_at <= context.now() || is_dead(&lease.holder));
            if free {
                if let Some(lease) = Self::try_take(context, name, seen.as_ref(), &me)? {
                    return Ok(lease);
                }
                continue;
            }
            // Renewed while we looked: somebody is alive. Not renewed: wait until its time is over.
            let held = seen.ok_or_else(|| ActionError::LeaseLost(name.to_owned()))?;
            match first_expiry {
                Some(expiry) if held.expires_at > expiry => return Err(ActionError::Busy { what: name.to_owned(), holder: held.holder }),
                _ => first_expiry = Some(held.expires_at),
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn try_take(context: &Context, name: &str, seen: Option<&LeaseRow>, me: &str) -> Result<Option<Self>, ActionError> {
        let expires_at = expiry(context);
        let taken = context.database.write(|conn| operations::take_lease(conn, name, seen, me, expires_at).map_err(ActionError::from))?;
        if !taken {
            return Ok(None);
        }
        let token = seen.map_or(1, |lease| lease.token + 1);
        let (lost, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let heart = beat(context.clone(), name.to_owned(), token, Arc::clone(&lost), Arc::clone(&stop));
        Ok(Some(Self { context: context.clone(), name: name.to_owned(), token, lost, stop, asked: Stop::default(), heart: Some(heart) }))
    }

    /// Lets the work under this lease end early when it is asked to.
    #[must_use]
    pub fn until(mut self, stop: &Stop) -> Self {
        self.asked = stop.clone();
        self
    }

    /// Checks that the lease is still ours and that we may go on, before more work is begun.
    ///
    /// # Errors
    /// [`ActionError::LeaseLost`] when it is not ours, [`ActionError::Stopped`] when we were asked to stop.
    pub fn check(&self) -> Result<(), ActionError> {
        if self.asked.is_requested() {
            return Err(ActionError::Stopped);
        }
        if self.lost.load(Ordering::Acquire) { Err(ActionError::LeaseLost(self.name.clone())) } else { Ok(()) }
    }
}

/// Renews the lease three times within its time, in a thread of its own.
fn beat(context: Context, name: String, token: i64, lost: Arc<AtomicBool>, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let interval = Duration::from_millis(context.config.runs.lease_ms / 3);
    thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            thread::park_timeout(interval);
            if stop.load(Ordering::Acquire) {
                return;
            }
            let expires_at = expiry(&context);
            let kept = context.database.write(|conn| operations::keep_lease(conn, &name, token, expires_at).map_err(ActionError::from));
            match kept {
                Ok(true) => {}
                Ok(false) => lost.store(true, Ordering::Release),
                Err(error) => log::warn!("the lease on {name} could not be renewed: {error}"),
            }
        }
    })
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(heart) = self.heart.take() {
            heart.thread().unpark();
            if heart.join().is_err() {
                log::warn!("the heartbeat of the lease on {} ended badly", self.name);
            }
        }
        // Free whatever the clock says, also one that is set back by then.
        let long_ago = DateTime::UNIX_EPOCH.naive_utc();
        let ended = self.context.database.write(|conn| operations::keep_lease(conn, &self.name, self.token, long_ago).map_err(ActionError::from));
        if let Err(error) = ended {
            log::warn!("the lease on {} could not be given back, it ends by itself: {error}", self.name);
        }
    }
}

fn expiry(context: &Context) -> NaiveDateTime {
    let length = TimeDelta::milliseconds(i64::try_from(context.config.runs.lease_ms).unwrap_or(15_000));
    context.now() + length
}

/// Names this process so that a successor on the same machine can see whether it still lives: machine, process
/// namespace, process id, and the moment the process started.
fn this_process() -> String {
    let pid = std::process::id();
    format!("{}/{}/{pid}/{}", machine(), namespace(), started(pid).unwrap_or_default())
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default()
}

/// The process's start, from the 22nd field of its `stat` file; `None` when there is no such process.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace();
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18).map(str::to_owned) }
}

/// Whether the holder was a process of this machine that is no more. Elsewhere only time tells.
fn is_dead(holder: &str) -> bool {
    let parts: Vec<&str> = holder.split('/').collect();
    let [host, space, pid, start] = parts.as_slice() else { return false };
    if *host != machine() || *space != namespace() || space.is_empty() {
        return false;
    }
    pid.parse().is_ok_and(|pid| started(pid).as_deref() != Some(*start))
}
