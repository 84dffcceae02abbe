//! Every setting of both documents, once: name, kind, default, bounds and meaning. Reading, checking and documentation use these rows.
