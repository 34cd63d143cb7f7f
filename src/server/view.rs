//! What a request takes once, when it begins: the configuration, and this worker's connections for it.
//!
//! # Invariants
//! - A request sees one configuration, whatever is reloaded while it runs.
//! - A reload closes only connections that the new configuration would not have made.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;

use crate::bff::{Bff, Configured};
use crate::frontend::Frontend;
use crate::names::FrontendName;
use crate::oidc::IdpClient;
use crate::proxy::Upstreams;
use crate::telemetry::metrics::Metrics;

/// How long a whole call to an identity provider may take, body included.
const IDP_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration, and the connections to its upstreams.
pub(super) struct View {
    pub(super) configured: Arc<Configured>,
    pub(super) upstreams: Upstreams,
    /// It keeps no connection, but trusts what it read when it was made.
    idp: IdpClient,
    /// The same, counted for each frontend.
    idps: HashMap<FrontendName, IdpClient>,
}

/// The view of one worker. It follows a reload with the next request.
pub(super) struct Views(RefCell<Rc<View>>);

impl Views {
    pub(super) fn new(bff: &Bff) -> Self {
        Self(RefCell::new(Rc::new(View::of(
            bff.configured.load_full(),
            &Upstreams::default(),
            &bff.metrics,
        ))))
    }

    /// The view for a request that begins now.
    pub(super) fn current(&self, bff: &Bff) -> Rc<View> {
        let mut view = self.0.borrow_mut();
        let configured = bff.configured.load();
        if !Arc::ptr_eq(&view.configured, &configured) {
            *view = Rc::new(View::of(
                Arc::clone(&configured),
                &view.upstreams,
                &bff.metrics,
            ));
        }
        Rc::clone(&view)
    }
}

impl View {
    fn of(configured: Arc<Configured>, before: &Upstreams, metrics: &Metrics) -> Self {
        // They were made once before this configuration came into use, so this does not fail.
        let upstreams = before.renewed(&configured.upstreams, metrics);
        let upstreams = upstreams.unwrap_or_else(|error| {
            log::error!("a worker is without upstreams: {error}");
            Upstreams::default()
        });
        let idp = IdpClient::new(&configured.egress, IDP_TIMEOUT);
        let counted = |frontend: &Arc<Frontend>| {
            let calls = metrics.provider_calls(&frontend.name);
            (frontend.name.clone(), idp.counted(calls))
        };
        Self {
            idps: configured.frontends.iter().map(counted).collect(),
            configured,
            upstreams,
            idp,
        }
    }

    /// The client for a frontend's identity provider.
    pub(super) fn idp(&self, frontend: &FrontendName) -> &IdpClient {
        self.idps.get(frontend).unwrap_or(&self.idp)
    }
}
