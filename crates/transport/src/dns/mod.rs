//! Where a domain takes its mail: MX and addresses (RFC 5321 5.1, RFC 7505).
