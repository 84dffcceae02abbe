//! From TOML to values, with all problems at once.
