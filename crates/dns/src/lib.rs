//! Answers for the zones of the organization.
