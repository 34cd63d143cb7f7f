//! An API of JSON documents: each path has an answer, and every head that came is kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::upstream::RawUpstream;

/// What is answered at a path.
#[derive(Clone, Debug)]
pub struct Canned {
    status: u16,
    headers: String,
    body: String,
    delay: Duration,
    /// Answered this often, and 200 with the same body afterwards.
    times: usize,
}

impl Canned {
    pub fn ok(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: String::new(),
            body: body.into(),
            delay: Duration::ZERO,
            times: usize::MAX,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.extend([name, ": ", value, "\r\n"]);
        self
    }

    /// The answer comes so much later.
    pub fn late(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// From then on the answer is 200 with the same body.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

/// The API. A path without an answer is 404.
pub struct JsonApi {
    upstream: RawUpstream,
    answers: Arc<Mutex<HashMap<String, Canned>>>,
    heads: Arc<Mutex<Vec<String>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl JsonApi {
    pub fn start() -> Self {
        let answers: Arc<Mutex<HashMap<String, Canned>>> = Arc::default();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let most_at_once = Arc::new(AtomicUsize::new(0));
        let (canned, kept) = (Arc::clone(&answers), Arc::clone(&heads));
        let (most, now) = (Arc::clone(&most_at_once), AtomicUsize::new(0));
        let upstream = RawUpstream::start(move |mut talk| {
            while let Some(head) = talk.head() {
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                lock(&kept).push(head);
                let answer = answer(&canned, &target);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(answer.delay);
                now.fetch_sub(1, Ordering::SeqCst);
                let Canned {
                    status,
                    headers,
                    body,
                    ..
                } = answer;
                let length = if status == 204 {
                    String::new()
                } else {
                    format!("content-length: {}\r\n", body.len())
                };
                talk.say(&format!(
                    "HTTP/1.1 {status} X\r\n{length}{headers}\r\n{body}"
                ));
            }
        });
        Self {
            upstream,
            answers,
            heads,
            most_at_once,
        }
    }

    /// Answers so at a path with its query.
    pub fn at(&self, target: &str, answer: Canned) {
        lock(&self.answers).insert(target.to_owned(), answer);
    }

    /// `[upstream.<name>]`, with more lines.
    pub fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[upstream.{name}]\nurl = \"http://{}\"\n{more}\n",
            self.upstream.addr
        )
    }

    /// The targets that were asked for, in that order.
    pub fn asked(&self) -> Vec<String> {
        let heads = lock(&self.heads);
        heads
            .iter()
            .map(|head| head.split(' ').nth(1).unwrap_or_default().to_owned())
            .collect()
    }

    /// How many requests were in hand at one time at the most.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// The heads as they came.
    pub fn heads(&self) -> Vec<String> {
        lock(&self.heads).clone()
    }
}

fn answer(canned: &Mutex<HashMap<String, Canned>>, target: &str) -> Canned {
    let mut canned = lock(canned);
    let Some(answer) = canned.get_mut(target) else {
        return Canned::status(404, "{}");
    };
    let mut now = answer.clone();
    match answer.times {
        0 => now = Canned::ok(now.body),
        usize::MAX => {}
        _ => answer.times -= 1,
    }
    now
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
