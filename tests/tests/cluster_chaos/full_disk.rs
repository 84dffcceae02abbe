//! The disk of a node that keeps copies fills up: the others go on without it, and it comes back by itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::cluster::{Cluster, ClusterNode, Load};

use super::{STEADY, settle_accounts, wait};

#[test]
fn the_disk_of_a_node_that_keeps_copies_is_full() {
    let Some(mut cluster) = Cluster::new(3) else { return };
    let disk = SmallDisk::at(&cluster.node(3).data(), "96m");
    cluster.nodes.iter_mut().for_each(ClusterNode::start);
    cluster.healthy();
    let mut load = Load::default();
    load.start(&cluster.net, &cluster.dir(), &[1, 2, 3], STEADY);
    wait(1.0);
    let filler = disk.fill();
    wait(8.0);
    let before = load.promised_now();
    wait(4.0);
    let during = load.promised_now() - before;
    println!("cluster chaos: a full disk on n3: {during} messages taken in 4 s by the others");
    if during < 200 {
        cluster.tell();
        panic!("the others stop when n3's disk is full: {during} messages in 4 s");
    }
    fs::remove_file(filler).unwrap();
    wait(2.0);
    settle_accounts(&mut cluster, &mut load, "the disk of n3 was full", 0);
    cluster.nodes.iter_mut().for_each(ClusterNode::kill);
    drop(disk);
}

/// A file system of a few megabytes, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(dir: &Path, size: &str) -> SmallDisk {
        fs::create_dir_all(dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "posthouse-chaos"]).arg(dir);
        assert!(mount.status().unwrap().success(), "this test mounts a tmpfs; run it as root");
        SmallDisk(dir.to_path_buf())
    }

    /// Takes all the space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
