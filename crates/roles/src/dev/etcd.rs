//! Owns how a single etcd is started on loopback. Knows nothing of what is kept in it.
//! Always holds: it listens on loopback only.

use std::process::{Command, Stdio};
use std::time::Duration;

use cluster::etcd::{Access, Client, Endpoint};

use super::place::Place;
use super::plan::Plan;

/// Whether there is an `etcd` that can be run.
pub fn etcd_is_installed() -> bool {
    let mut command = Command::new("etcd");
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command line of etcd.
pub fn etcd_command(place: &Place, plan: &Plan) -> Command {
    let (clients, peers) = (format!("http://{}", plan.etcd_clients()), format!("http://{}", plan.etcd_peers()));
    let mut command = Command::new("etcd");
    command.arg(format!("--data-dir={}", place.dir().join("etcd").display()));
    command.args(["--name", "dev", "--logger", "zap"]);
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("dev={peers}")]);
    command.current_dir(place.dir());
    command
}

/// Waits until it answers, at most `bound`; what it said last if it does not.
pub async fn etcd_answers(plan: &Plan, bound: Duration) -> Result<(), String> {
    let endpoint = Endpoint::parse(&format!("http://{}", plan.etcd_clients())).map_err(|error| error.to_string())?;
    let client = Client::new(Access::plain(vec![endpoint])).map_err(|error| error.to_string())?;
    let healthy = async {
        loop {
            let status = client.status().await;
            if status.iter().any(|member| member.health.is_ok()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(bound, healthy).await.map_err(|_| format!("no answer within {bound:?}"))
}
