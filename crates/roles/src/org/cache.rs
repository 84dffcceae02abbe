//! Owns the copy on disk of the organization document that ran last: with it a node starts while etcd is away.
//! Always holds: the whole of one version or nothing; one of another cluster is never used; nobody but our user can read it.

use std::io;
use std::path::Path;

use cluster::org::Document;
use serde::{Deserialize, Serialize};
use world::World;

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The organization's keys in etcd: another prefix is another organization.
    prefix: String,
    document: Document,
}

/// Keeps a version, durably.
pub fn keep(world: &World, file: &Path, prefix: &str, document: &Document) -> io::Result<()> {
    let kept = Kept { prefix: prefix.into(), document: document.clone() };
    world.disk.replace_durable_private(file, &serde_json::to_vec(&kept)?)
}

/// The version that was kept, if there is one of this organization. The error says what is wrong with the file.
pub fn read(world: &World, file: &Path, prefix: &str) -> Result<Option<Document>, String> {
    let bytes = match world.disk.read_all(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", file.display())),
        Ok(bytes) => bytes,
    };
    let kept: Kept = serde_json::from_slice(&bytes)
        .map_err(|error| format!("{}: no document of ours is in it ({error}); remove it", file.display()))?;
    Ok((kept.prefix == prefix).then_some(kept.document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_back_whole_and_only_to_its_own_organization() {
        let (world, _) = World::simulated(3);
        let file = Path::new("/data/org.cache");
        world.disk.create_dir_all_durable(Path::new("/data")).unwrap();
        assert_eq!(read(&world, file, "/p"), Ok(None));
        let document = Document { version: 7, who: "ann".into(), when_ms: 5, why: "so".into(), text: "a = 1\n".into() };
        keep(&world, file, "/p", &document).unwrap();
        assert_eq!(read(&world, file, "/p"), Ok(Some(document)));
        assert_eq!(read(&world, file, "/other"), Ok(None));
        world.disk.replace_durable(file, b"{\"prefix\":\"/p\"").unwrap();
        assert!(read(&world, file, "/p").unwrap_err().contains("remove it"));
    }
}
