//! Names of services and virtual addresses in a cluster: what the nodes say of themselves in etcd decides what is answered.

use std::time::Duration;

use serde_json::Value;
use tests::cluster::{Cluster, Place};
use tests::eventually;

const SOON: Duration = Duration::from_secs(60);

/// What is answered of a name as the third node sees it, and what is left out with the reason.
fn seen(cluster: &Cluster, name: &str) -> (Vec<String>, Vec<String>) {
    let zones = cluster.nodes[2].get("/api/v1/zones/chaos.test").map(|(_, body)| body).unwrap_or_default();
    let zone: Value = serde_json::from_str(&zones).unwrap_or_default();
    let names = zone["names"].as_array().cloned().unwrap_or_default();
    let records = names.iter().filter(|of| of["name"] == name).flat_map(|of| of["records"].as_array().unwrap().clone());
    let (stand, out): (Vec<Value>, Vec<Value>) = records.partition(|record| record["stands"] == true);
    let data = |record: &Value| record["data"].as_str().unwrap().to_string();
    let why = |record: &Value| format!("{}: {}", data(record), record["why"].as_str().unwrap());
    (stand.iter().map(data).collect(), out.iter().map(why).collect())
}

/// The third node has no part in service and address: it knows of both by etcd alone.
#[test]
fn names_follow_what_nodes_say_in_etcd() {
    let Some(mut cluster) = Cluster::new(3) else { return };
    let at = |number| cluster.net.address(Place::Node(number)).to_string();
    let (one, two, hub) = (at(1), at(2), cluster.net.address(Place::Hub));
    let both = "servers = [\"n1.chaos.test\", \"n2.chaos.test\"]";
    let document = format!(
        "[[virtual_address]]\nname = \"front\"\naddress = [\"198.18.0.100/24\"]\ninterface = \"eth0\"\nlease = \"4s\"\n{both}\n\
         [[service]]\nname = \"relay\"\nprotocol = \"tcp\"\nlisten = [\"{one}:2600\", \"{two}:2600\"]\nprobe_interval = \"200ms\"\n{both}\n\
         [[member]]\nname = \"sink\"\nservice = \"relay\"\naddress = \"{hub}:25\"\n\
         [[zone]]\nname = \"chaos.test\"\nname_servers = [\"ns.example.net\"]\n\
         [[dns_name]]\nname = \"relay.chaos.test\"\nservices = [\"relay\"]\n\
         [[dns_name]]\nname = \"front.chaos.test\"\nvirtual_addresses = [\"front\"]\naddresses = [\"198.51.100.9\"]\n"
    );
    for node in &mut cluster.nodes {
        node.add_to_org(&document);
        node.start();
    }
    cluster.healthy();
    let until = |cluster: &Cluster, what: &str, name: &str, wanted: &[&str], left_out: &[&str]| {
        eventually(&format!("{what}: {name} is {wanted:?}"), SOON, || {
            let (stand, out) = seen(cluster, name);
            stand == wanted
                && out.len() == left_out.len()
                && out.iter().zip(left_out).all(|(out, why)| out.contains(why))
        });
    };
    until(&cluster, "all is well", "relay.chaos.test", &[&one, &two], &[]);
    until(&cluster, "all is well", "front.chaos.test", &["198.18.0.100", "198.51.100.9"], &[]);
    cluster.node(2).kill();
    let gone = format!("{two}: service relay at {two}: no node that has this address serves it now");
    until(&cluster, "a node is killed", "relay.chaos.test", &[&one], &[&gone]);
    until(&cluster, "the other one has it", "front.chaos.test", &["198.18.0.100", "198.51.100.9"], &[]);
    cluster.node(1).kill();
    until(&cluster, "nobody serves, so all are answered", "relay.chaos.test", &[&one, &two], &[]);
    until(
        &cluster,
        "nobody has it",
        "front.chaos.test",
        &["198.51.100.9"],
        &["198.18.0.100: virtual address front: no node has it"],
    );
    for number in [1, 2] {
        cluster.node(number).start();
    }
    until(&cluster, "they are back", "relay.chaos.test", &[&one, &two], &[]);
    until(&cluster, "it is had again", "front.chaos.test", &["198.18.0.100", "198.51.100.9"], &[]);
}
