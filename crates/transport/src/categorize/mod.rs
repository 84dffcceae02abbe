//! Which next hop a recipient belongs to: accepted domains first, then send connectors by address space and cost.
