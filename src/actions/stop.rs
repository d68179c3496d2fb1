//! A request to stop: work looks at it between two pieces, and waiting ends with it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A request to stop. Clones are the same request.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Asks everybody who works or waits under this request to stop.
    pub fn request(&self) {
        let (asked, bell) = &*self.0;
        *asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        bell.notify_all();
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long, or until it is asked for; returns whether it was.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        let (asked, bell) = &*self.0;
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = bell.wait_timeout_while(asked, time, |asked| !*asked).unwrap_or_else(PoisonError::into_inner);
        *asked
    }
}
