//! The client end: greeting to QUIT, one transaction after another, an outcome per recipient.
