//! Recipients of one source as they are kept on disk: the large table in one text, what changed since in another, small one that
//! names the first by its checksum. Both end with a checksum of their own: what is damaged is not read.

use super::record::{Reader, Writer};
use super::table::Table;
use super::whole::Recipients;
use std::collections::HashSet;

/// What is written of a source.
pub struct Kept;

impl Kept {
    /// The table that was read whole.
    pub fn base(table: &Table) -> Vec<u8> {
        let mut out = Writer(BASE.to_vec());
        write_table(&mut out, table);
        sealed(out)
    }

    /// What changed since; `base` is what [`Kept::base`] gave for the table below.
    pub fn changes(base: &[u8], above: &Table, gone: &HashSet<u32>) -> Vec<u8> {
        let mut out = Writer(CHANGES.to_vec());
        out.0.extend_from_slice(seal_of(base));
        out.number(gone.len() as u64);
        gone.iter().for_each(|at| out.number(u64::from(*at)));
        write_table(&mut out, above);
        sealed(out)
    }

    /// Reads both again. `None` if the first is damaged; a second one that is damaged, or belongs to another first one, does not count.
    pub fn read(base: &[u8], changes: Option<&[u8]>) -> Option<Recipients> {
        let mut reader = opened(base, BASE)?;
        let table = read_table(&mut reader)?;
        let above = changes.and_then(|changes| {
            let mut reader = opened(changes, CHANGES)?;
            if reader.take(SEAL as u64)? != seal_of(base) {
                return None;
            }
            let count = reader.number()?;
            let gone = (0..count).map(|_| reader.number().and_then(|at| u32::try_from(at).ok()));
            let gone = gone.collect::<Option<HashSet<u32>>>()?;
            Some((read_table(&mut reader)?, gone))
        });
        let (above, gone) = above.unwrap_or_default();
        Some(Recipients::of_tables(table, above, gone))
    }
}

fn write_table(out: &mut Writer, table: &Table) {
    let (words, bytes) = table.parts();
    out.number(words.len() as u64);
    words.iter().for_each(|word| out.text(word));
    out.number(bytes.len() as u64);
    out.0.extend_from_slice(bytes);
}

fn read_table(reader: &mut Reader<'_>) -> Option<Table> {
    let count = reader.number()?;
    let words = (0..count).map(|_| reader.text().map(Box::from)).collect::<Option<Vec<Box<str>>>>()?;
    let len = reader.number()?;
    Table::from_parts(words, reader.take(len)?.to_vec())
}

fn sealed(mut out: Writer) -> Vec<u8> {
    let seal = crc32c::crc32c(&out.0).to_le_bytes();
    out.0.extend_from_slice(&seal);
    out.0
}

fn seal_of(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len().saturating_sub(SEAL)..]
}

fn opened<'b>(bytes: &'b [u8], head: &[u8]) -> Option<Reader<'b>> {
    let (content, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL)?)?;
    (crc32c::crc32c(content).to_le_bytes() == *seal).then_some(())?;
    Some(Reader::at(content.strip_prefix(head)?, 0))
}

/// Bytes of a checksum (CRC-32C).
const SEAL: usize = 4;
const BASE: &[u8] = b"posthouse recipients 1\n";
const CHANGES: &[u8] = b"posthouse recipients 1 changes\n";
