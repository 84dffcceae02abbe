//! The zones of an organization: what may stand in them, by what it hangs on.
//!
//! Owns names, record data and how records follow from the objects of the document: [`Entry`]. Knows no health (who asks decides what of
//! it stands now), no wire format and no sockets. Always holds: a record is in the longest zone that ends its name; the same document
//! gives the same entries in the same order.

mod data;
mod entries;
mod layout;
mod name;
mod naming;
mod object;

pub use data::{Caa, Data, Srv, Tlsa, Type};
pub use entries::{Entry, Origin, ServiceAt, Subject, VirtualAt};
pub use layout::MxHost;
pub use name::{is_reverse, is_within, parse_host, parse_name, reverse};
pub use naming::{Naming, Parts, in_order};
pub use object::{DnsName, MxLayout, Push, Timers, TsigAlgorithm, TsigKey, Zone};
