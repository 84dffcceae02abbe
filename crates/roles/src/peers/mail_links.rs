//! Owns the use of this node's certificate of the organization by mail links: the same files as for peer links, looked at by the same
//! eyes, so a renewed certificate counts for both. Knows no SMTP.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};
use transport::links::{LinkCertificates, LinkSide, OtherEnd};

use super::tls::{LinkTls, Shown};
use super::trouble::Trouble;

/// The certificate as mail links ask for it.
pub struct MailCertificates(pub Arc<LinkTls>);

/// Whoever is at the other end of one mail link.
struct Other {
    shown: Arc<Shown>,
    tls: Arc<LinkTls>,
}

impl LinkCertificates for MailCertificates {
    fn server(&self) -> Result<LinkSide<ServerConfig>, String> {
        let shown = Arc::new(Shown::default());
        let config = self.0.current().server(&shown).map_err(|error| error.to_string())?;
        Ok(self.side(config, shown))
    }

    fn client(&self) -> Result<LinkSide<ClientConfig>, String> {
        let shown = Arc::new(Shown::default());
        let config = self.0.current().client(&shown).map_err(|error| error.to_string())?;
        Ok(self.side(config, shown))
    }
}

impl MailCertificates {
    fn side<C>(&self, config: C, shown: Arc<Shown>) -> LinkSide<C> {
        LinkSide { config: Arc::new(config), other: Arc::new(Other { shown, tls: self.0.clone() }) }
    }
}

impl OtherEnd for Other {
    fn node(&self) -> Option<String> {
        self.shown.identity()?.node
    }

    fn sentence(&self, error: &io::Error) -> String {
        Trouble::of(error, self.shown.identity()).sentence(&self.tls)
    }
}
