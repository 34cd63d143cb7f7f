//! An outcome that a task hands to the request that waits for it, and that says itself what became of it if the request is gone.
//!
//! # Invariants
//! - Either the request takes the outcome, or the outcome says itself: never both, and never neither.

/// An outcome on its way. Whoever takes it writes its line in the log.
#[derive(Debug)]
#[must_use = "an outcome that nobody takes logs itself"]
pub struct Unheard<T> {
    outcome: Option<T>,
    say: fn(&T),
}

impl<T> Unheard<T> {
    /// An outcome, and what says it if nobody takes it.
    pub const fn new(outcome: T, say: fn(&T)) -> Self {
        Self {
            outcome: Some(outcome),
            say,
        }
    }

    /// The outcome, for whoever says what became of it.
    pub fn take(mut self) -> Option<T> {
        self.outcome.take()
    }
}

impl<T> Drop for Unheard<T> {
    fn drop(&mut self) {
        if let Some(outcome) = &self.outcome {
            (self.say)(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::oneshot;

    use super::*;

    thread_local! {
        static SAID: Cell<u128> = const { Cell::new(0) };
    }

    fn say(number: &u128) {
        SAID.set(SAID.get() + number);
    }

    #[test]
    fn an_outcome_says_itself_once_if_nobody_takes_it() {
        // It is taken.
        let (sender, mut receiver) = oneshot::channel();
        sender.send(Unheard::new(1, say)).unwrap();
        assert_eq!(receiver.try_recv().unwrap().take(), Some(1));
        assert_eq!(SAID.get(), 0);
        // Whoever waited has hung up before it came.
        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        assert!(sender.send(Unheard::new(10, say)).is_err());
        assert_eq!(SAID.get(), 10);
        // It came, and whoever waited has hung up before looking.
        let (sender, receiver) = oneshot::channel();
        sender.send(Unheard::new(100, say)).unwrap();
        drop(receiver);
        assert_eq!(SAID.get(), 110);
    }
}
