//! The proxy against upstreams that misbehave, over real sockets.

mod bodies;
mod calls;
mod connections;
mod failures;
mod heads;

use std::cell::RefCell;
use std::rc::Rc;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/// What an upstream heard, for the test to look at.
type Log = Rc<RefCell<Vec<String>>>;
