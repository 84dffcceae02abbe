//! temporary
use std::fs;
use tests::cluster::{Cluster, Place};

#[test]
fn look() {
    if std::env::var("STND").is_err() {
        return;
    }
    let Some(mut cluster) = Cluster::new(3) else { return };
    let at = |number| cluster.net.address(Place::Node(number)).to_string();
    let (one, two, three, hub) = (at(1), at(2), at(3), cluster.net.address(Place::Hub));
    let both = "servers = [\"n1.chaos.test\", \"n2.chaos.test\"]";
    let server =
        |number: usize, at: &str| format!("[[server]]\nname = \"n{number}.chaos.test\"\naddress = \"{at}:25\"\npublic_addresses = [\"192.0.2.{number}\"]\n");
    let servers = server(1, &one) + &server(2, &two) + &server(3, &three);
    let document = format!(
        "{servers}[[virtual_address]]\nname = \"front\"\naddress = [\"198.18.0.100/24\", \"fd00:18::100/64\"]\ninterface = \"eth0\"\nlease = \"4s\"\n{both}\n\
         [[virtual_address]]\nname = \"nowhere\"\naddress = [\"198.18.0.101/24\"]\ninterface = \"eth9\"\n\
         [[service]]\nname = \"relay\"\nprotocol = \"tcp\"\nlisten = [\"{one}:2600\", \"{two}:2600\"]\nprobe_interval = \"200ms\"\n{both}\n\
         [[member]]\nname = \"sink\"\nservice = \"relay\"\naddress = \"{hub}:25\"\n[[member]]\nname = \"dead\"\nservice = \"relay\"\naddress = \"{hub}:26\"\n\
         [[zone]]\nname = \"chaos.test\"\nname_servers = [\"ns.example.net\", \"ns2.example.net\"]\nsecondaries = [\"{hub}:53\"]\npush = \"{hub}:5353\"\n\
         [[zone]]\nname = \"mail.example.org\"\nname_servers = [\"ns.mail.example.org\"]\nservers = [\"n2.chaos.test\"]\n\
         [[dns_name]]\nname = \"ns.mail.example.org\"\naddresses = [\"192.0.2.53\"]\n\
         [[dns_name]]\nname = \"all.chaos.test\"\nservers = [\"n1.chaos.test\", \"n2.chaos.test\", \"n3.chaos.test\"]\n\
         [[mx_layout]]\nname = \"in\"\ndomains = [\"chaos.test\"]\n\
         [[dns_name]]\nname = \"relay.chaos.test\"\nservices = [\"relay\"]\n\
         [[dns_name]]\nname = \"front.chaos.test\"\nvirtual_addresses = [\"front\"]\naddresses = [\"198.51.100.9\"]\n\
         [[dns_name]]\nname = \"nowhere.chaos.test\"\nvirtual_addresses = [\"nowhere\"]\n"
    );
    let dir = cluster.dir();
    for (number, node) in (1..).zip(&mut cluster.nodes) {
        node.add_to_org(&document);
        let file = dir.join(format!("n{number}/posthouse.toml"));
        let own = [&one, &two, &three][number - 1];
        fs::write(
            &file,
            fs::read_to_string(&file).unwrap() + &format!("\n[dns_server]\nlisten = [\"{own}\", \"127.0.0.1:5300\"]\n"),
        )
        .unwrap();
        node.start();
    }
    cluster.healthy();
    cluster.node(2).kill();
    fs::write("/tmp/stnd-ns", format!("{} {}", cluster.net.name(Place::Node(1)), cluster.net.name(Place::Node(3))))
        .unwrap();
    while fs::metadata("/tmp/stnd-end").is_err() {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
