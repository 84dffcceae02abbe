//! Sizes and durations as operators write them: `36MB`, `5m`.

/// Reads `512`, `256KB`, `36MB`, `4GB` (powers of 1024; `KiB` and so on are the same) to bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    scaled(
        text,
        &[
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
            ("TB", 1 << 40),
            ("GB", 1 << 30),
            ("MB", 1 << 20),
            ("KB", 1 << 10),
            ("B", 1),
        ],
    )
}

/// Reads `500ms`, `30s`, `5m`, `4h`, `2d` to milliseconds.
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    if text == "0" { Some(0) } else { scaled(text, &units) }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim_start()))?.1;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// Writes bytes in the largest unit that leaves no rest.
pub fn bytes_text(bytes: u64) -> String {
    written(bytes, &[(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"), (1, "B")])
}

/// Writes milliseconds in the largest unit that leaves no rest.
pub fn duration_text(ms: u64) -> String {
    written(ms, &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")])
}

fn written(value: u64, units: &[(u64, &str)]) -> String {
    let fits = |(scale, _): &&(u64, &str)| value.is_multiple_of(*scale) && (value > 0 || *scale == 1);
    units.iter().find(fits).map_or_else(|| value.to_string(), |(scale, name)| format!("{}{name}", value / scale))
}
