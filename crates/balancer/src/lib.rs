//! Services: pools, probes, the data path, virtual addresses, voice.

pub mod address;
pub mod pool;
pub mod probe;
pub mod relay;
pub mod sip;
pub mod voice;
