//! What a request takes once, when it begins: the configuration, and this worker's connections for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::bff::{Bff, Configured};
use crate::proxy::Upstreams;

/// The configuration, and the connections to its upstreams.
pub(super) struct View {
    pub(super) configured: Arc<Configured>,
    pub(super) upstreams: Upstreams,
}

/// The view of one worker. It follows a reload with the next request.
pub(super) struct Views(RefCell<Rc<View>>);

impl Views {
    pub(super) fn new(bff: &Bff) -> Self {
        Self(RefCell::new(Rc::new(View::of(bff.configured.load_full()))))
    }

    /// The view for a request that begins now.
    pub(super) fn current(&self, bff: &Bff) -> Rc<View> {
        let mut view = self.0.borrow_mut();
        let configured = bff.configured.load();
        if !Arc::ptr_eq(&view.configured, &configured) {
            *view = Rc::new(View::of(Arc::clone(&configured)));
        }
        Rc::clone(&view)
    }
}

impl View {
    fn of(configured: Arc<Configured>) -> Self {
        // They were made once before this configuration came into use, so this does not fail.
        let upstreams = Upstreams::new(&configured.upstreams).unwrap_or_else(|error| {
            log::error!("a worker is without upstreams: {error}");
            Upstreams::default()
        });
        Self {
            configured,
            upstreams,
        }
    }
}
