//! Working through chunks with as many threads as the settings say.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::actions::lease::Lease;
use crate::actions::{ActionError, Context};
use crate::db::billing::ChunkRow;

/// Runs `work` on each chunk. The first error stops the others after their chunk and is returned.
pub(super) fn each(
    step: &str,
    context: &Context,
    lease: Option<&Lease>,
    chunks: &[ChunkRow],
    progress: impl Fn(usize, usize) + Sync,
    work: impl Fn(&ChunkRow) -> Result<(), ActionError> + Sync,
) -> Result<(), ActionError> {
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let failure: Mutex<Option<ActionError>> = Mutex::new(None);
    let failed = || failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    let worker = || {
        while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed() {
                return;
            }
            let outcome = lease.map_or(Ok(()), Lease::check).and_then(|()| work(chunk));
            if let Err(error) = outcome {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, chunks.len());
        }
    };
    let workers = context.config.runs.worker_count().min(chunks.len().max(1));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    log::info!("{step}: {} chunks in {} ms with {workers} workers", chunks.len(), started.elapsed().as_millis());
    Ok(())
}
