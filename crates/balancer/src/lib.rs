//! Services: pools, probes, the data path, virtual addresses, voice.

pub mod address;
