//! A service as one thread knows it.

use std::sync::Arc;

use super::admission::Admission;
use super::conn::Stage;
use super::counts::Counts;
use super::settings::ServiceSetup;
use super::words::Speech;

/// A service, its bounds and its counters. A change of the service makes a new one for connections to come.
pub(super) struct Here {
    pub(super) setup: ServiceSetup,
    pub(super) speech: Speech,
    /// The member's choice depends on the name in the client's TLS greeting.
    pub(super) asks_name: bool,
    pub(super) counts: Arc<Counts>,
    pub(super) admission: Arc<Admission>,
}

impl Here {
    pub(super) fn new(setup: ServiceSetup, counts: Arc<Counts>, admission: Arc<Admission>) -> Here {
        let service = &setup.service;
        let ends_tls = setup.tls.is_some();
        let named = service.members.iter().any(|member| !member.sni.is_empty());
        Here {
            speech: Speech::of(service.protocol, ends_tls),
            asks_name: named && service.protocol.is_tls() && !ends_tls,
            setup,
            counts,
            admission,
        }
    }

    /// What has to come from a client first.
    pub(super) fn first_stage(&self, is_trusted_proxy: bool) -> Stage {
        if is_trusted_proxy { Stage::ProxyHeader } else { self.tls_stage() }
    }

    /// The same behind a PROXY header.
    pub(super) fn tls_stage(&self) -> Stage {
        if self.setup.tls.is_some() {
            Stage::Handshake
        } else if self.asks_name {
            Stage::TlsName
        } else {
            Stage::None
        }
    }
}
