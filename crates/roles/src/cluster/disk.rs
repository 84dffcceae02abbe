//! Owns the number of this node's disk: made by chance with the data directory, and never changed. Knows no cluster.
//! Always holds: a data directory that was made anew has another number.

use std::io;
use std::path::Path;

use world::World;

/// The number in `file`, made durably if there is none.
pub fn number(world: &World, file: &Path) -> io::Result<u64> {
    match world.disk.read_all(file) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            u64::from_str_radix(text.trim(), 16).map_err(|_| {
                io::Error::other("is not the number of a disk (16 hexadecimal digits); bring back the file of before")
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let number = world.chance.u64();
            world.disk.replace_durable(file, format!("{number:016x}\n").as_bytes())?;
            Ok(number)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_a_strange_file_is_left_alone() {
        let (world, _) = World::simulated(1);
        let file = Path::new("/data/disk");
        world.disk.create_dir_all_durable(Path::new("/data")).unwrap();
        let made = number(&world, file).unwrap();
        assert_eq!(number(&world, file).unwrap(), made);
        world.disk.replace_durable(file, b"notes").unwrap();
        assert!(number(&world, file).unwrap_err().to_string().contains("bring back"));
        assert_eq!(world.disk.read_all(file).unwrap(), b"notes");
    }
}
