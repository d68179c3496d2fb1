//! Turns at something that one at a time can have: first come, first served.
//!
//! A plain mutex goes to whoever is awake when it falls free: a thread that writes one transaction after the other keeps it from
//! those who sleep until their turn, for as long as it has something to write. A callback waits for its commit then until the inbox
//! is settled.

use std::sync::{Condvar, Mutex, PoisonError};

/// Who is served, and which number the next one takes.
#[derive(Debug, Default)]
pub(super) struct Turns {
    numbers: Mutex<Numbers>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    served: u64,
}

/// A turn: it ends when it is dropped.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits until it is the caller's turn.
    pub(super) fn take(&self) -> Turn<'_> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = numbers.next;
        numbers.next += 1;
        let served = self.bell.wait_while(numbers, |numbers| numbers.served != mine);
        drop(served.unwrap_or_else(PoisonError::into_inner));
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.numbers.lock().unwrap_or_else(PoisonError::into_inner).served += 1;
        self.0.bell.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn turns_are_given_in_the_order_in_which_they_are_asked_for() {
        let (turns, served) = (Turns::default(), Mutex::new(Vec::new()));
        let first = turns.take();
        thread::scope(|scope| {
            for number in 1..=20_u64 {
                let (turns, served) = (&turns, &served);
                let (asks, asked) = mpsc::channel();
                scope.spawn(move || {
                    asks.send(()).expect("somebody waits");
                    let _turn = turns.take();
                    served.lock().expect("nobody failed").push(number);
                });
                asked.recv().expect("it asks");
                // The next one asks only when this one has its number.
                while turns.numbers.lock().expect("nobody failed").next != number + 1 {
                    thread::yield_now();
                }
            }
            drop(first);
        });
        assert_eq!(*served.lock().expect("nobody failed"), (1..=20).collect::<Vec<_>>());
    }
}
