//! An outcome that a task hands to the request that waits for it, and that says itself what became of it if the request is gone.
//!
//! # Invariants
//! - Either the request takes the outcome, or the outcome says itself: never both, and never neither.

/// An outcome on its way. Whoever takes it writes its line in the log, and counts it.
#[must_use = "an outcome that nobody takes says itself"]
pub struct Unheard<T> {
    outcome: Option<(T, Say<T>)>,
}

/// Writes the line, and counts.
type Say<T> = Box<dyn FnOnce(&T)>;

impl<T> Unheard<T> {
    /// An outcome, and what says it if nobody takes it.
    pub fn new(outcome: T, say: impl FnOnce(&T) + 'static) -> Self {
        Self {
            outcome: Some((outcome, Box::new(say))),
        }
    }

    /// The outcome, for whoever says what became of it.
    pub fn take(mut self) -> Option<T> {
        self.outcome.take().map(|(outcome, _)| outcome)
    }
}

impl<T> Drop for Unheard<T> {
    fn drop(&mut self) {
        if let Some((outcome, say)) = self.outcome.take() {
            say(&outcome);
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

    fn send(number: u128, sender: oneshot::Sender<Unheard<u128>>) -> bool {
        sender.send(Unheard::new(number, say)).is_ok()
    }

    #[test]
    fn an_outcome_says_itself_once_if_nobody_takes_it() {
        // It is taken.
        let (sender, mut receiver) = oneshot::channel();
        assert!(send(1, sender));
        assert_eq!(receiver.try_recv().unwrap().take(), Some(1));
        assert_eq!(SAID.get(), 0);
        // Whoever waited has hung up before it came.
        let (sender, receiver) = oneshot::channel();
        drop(receiver);
        assert!(!send(10, sender));
        assert_eq!(SAID.get(), 10);
        // It came, and whoever waited has hung up before looking.
        let (sender, receiver) = oneshot::channel();
        assert!(send(100, sender));
        drop(receiver);
        assert_eq!(SAID.get(), 110);
    }
}
