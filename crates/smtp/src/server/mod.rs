//! The server end: greeting to QUIT, one moment at a time.
