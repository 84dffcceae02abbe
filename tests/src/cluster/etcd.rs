//! Three members of etcd in one namespace, each with an address of its own.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::net::{ETCDS, Net, Place};
use crate::eventually;
use crate::process::{Process, http_get_at};

/// The members.
pub struct EtcdMembers {
    members: Vec<Option<Process>>,
    dir: PathBuf,
}

impl EtcdMembers {
    /// All three, and they have a leader.
    pub fn started(net: &Net, dir: &Path) -> EtcdMembers {
        let mut etcd = EtcdMembers { members: (0..ETCDS).map(|_| None).collect(), dir: dir.to_path_buf() };
        (0..ETCDS).for_each(|member| etcd.start(net, member));
        etcd.leader(net);
        etcd
    }

    /// Starts (again) a member on its data.
    pub fn start(&mut self, net: &Net, member: usize) {
        let data = self.dir.join(format!("etcd{member}"));
        fs::create_dir_all(&data).unwrap();
        let url = |member: usize, port: u16| format!("http://{}:{port}", net.etcd_address(member));
        let all: Vec<String> = (0..ETCDS).map(|member| format!("m{member}={}", url(member, 2380))).collect();
        let mut command = net.command(Place::Etcd, "etcd");
        command.arg("--name").arg(format!("m{member}")).arg("--data-dir").arg(&data);
        command.args(["--listen-client-urls", &url(member, 2379), "--advertise-client-urls", &url(member, 2379)]);
        command.args(["--listen-peer-urls", &url(member, 2380), "--initial-advertise-peer-urls", &url(member, 2380)]);
        command.args(["--initial-cluster", &all.join(",")]);
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap"]);
        command.env_remove("http_proxy").env_remove("https_proxy");
        self.members[member] = Some(Process::start(&mut command, &self.dir.join(format!("etcd{member}.log"))));
    }

    /// kill -9.
    pub fn kill(&mut self, member: usize) {
        self.members[member] = None;
    }

    /// STOP or CONT.
    pub fn signal(&self, member: usize, name: &str) {
        self.members[member].as_ref().unwrap().signal(name);
    }

    /// The member that leads, as it says itself.
    pub fn leader(&self, net: &Net) -> usize {
        let mut leader = None;
        eventually("etcd has a leader", Duration::from_secs(30), || {
            leader = (0..ETCDS).find(|member| self.members[*member].is_some() && leads(net, *member));
            leader.is_some()
        });
        leader.unwrap()
    }
}

fn leads(net: &Net, member: usize) -> bool {
    let at = (net.etcd_address(member), 2379);
    net.within(Place::Etcd, || {
        let up = TcpStream::connect_timeout(&at.into(), Duration::from_secs(1)).is_ok();
        up && http_get_at(at.into(), "/metrics").1.lines().any(|line| line == "etcd_server_is_leader 1")
    })
}
