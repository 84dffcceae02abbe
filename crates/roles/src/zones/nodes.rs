//! What the nodes of a cluster say in etcd, as standings of what names hang on. Pure: the view comes in as a value.

use std::net::IpAddr;

use cluster::record::READY;
use cluster::view::View;
use directory::Service;
use dns::contents::Standing;

/// etcd was heard, and answers: what nodes say there is of now.
pub fn is_of_now(view: &View) -> bool {
    view.at > 0 && view.silent.is_none()
}

/// A node that says that it takes no mail. Nothing: it says that it does, or it is not there, which a probe finds out.
pub fn refusal(view: &View, node: &str) -> Option<Standing> {
    let health = view.nodes.get(node)?.health.as_str();
    (is_of_now(view) && health != READY).then(|| Standing::Down(health.into()))
}

/// A service at one of its addresses, by what the nodes say that do it, `me` apart. `here` is what this node itself finds, if it has the
/// address.
pub fn service(view: &View, me: &str, service: &Service, at: IpAddr, here: Option<Result<(), String>>) -> Standing {
    if let Some(Ok(())) = here {
        return Standing::Up;
    }
    let mut others = view.nodes.iter().filter(|(node, _)| **node != *me && service.is_for(node));
    // An older program says nothing of services; they counted as up before there was a word for it.
    let serves = others.any(|(_, record)| {
        record.serves.as_ref().is_none_or(|all| all.get(&*service.name).is_some_and(|open| open.contains(&at)))
    });
    match (serves, here) {
        (true, _) => Standing::Up,
        (false, Some(Err(why))) => Standing::Down(why.into()),
        (false, _) => Standing::Down("no node that has this address serves it now".into()),
    }
}

/// A virtual address. While etcd is silent, what it said last stands: wherever the address has gone since, the name is right.
pub fn virtual_address(view: &View, name: &str) -> Standing {
    if view.at == 0 {
        return Standing::Unknown;
    }
    match view.vips.get(name).and_then(|vip| vip.holder.as_ref()) {
        Some(_) => Standing::Up,
        None => Standing::Down("no node has it".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::etcd::Error;
    use cluster::record::NodeRecord;
    use cluster::view::Vip;
    use cluster::vip::VipHolder;
    use directory::{Loaded, Start};
    use std::path::Path;
    use world::World;

    fn service_of_two() -> Service {
        let text = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:2525\"]\n\
            [[service]]\nname = \"smtp\"\nlisten = [\"192.0.2.1:25\", \"192.0.2.2:25\"]\nservers = [\"n1\", \"n2\"]\n\
            [[member]]\nname = \"m\"\nservice = \"smtp\"\naddress = \"192.0.2.9:25\"\n";
        let (world, _) = World::simulated(1);
        world.disk.replace_durable(Path::new("org.toml"), text.as_bytes()).unwrap();
        let start = Start { org: Some("org.toml".into()), ..Start::default() };
        Service::clone(&Loaded::load(world.disk.as_ref(), &start).unwrap().org.services[0])
    }

    fn node(health: &str, serves: Option<&[&str]>) -> NodeRecord {
        let open = |all: &[&str]| all.iter().map(|at| at.parse().unwrap()).collect();
        let serves = serves.map(|all| [("smtp".to_string(), open(all))].into());
        NodeRecord { health: health.into(), serves, ..NodeRecord::default() }
    }

    fn view(nodes: &[(&str, NodeRecord)]) -> View {
        View {
            at: 7,
            nodes: nodes.iter().map(|(name, of)| (name.to_string(), of.clone())).collect(),
            ..View::default()
        }
    }

    #[test]
    fn a_service_stands_where_a_node_that_does_it_says_so() {
        let smtp = service_of_two();
        let of = |view: &View, me: &str, at: &str, here| {
            let standing = service(view, me, &smtp, at.parse().unwrap(), here);
            matches!(standing, Standing::Up)
        };
        let both = view(&[("n1", node("ready", Some(&["192.0.2.1"]))), ("n2", node("ready", Some(&["192.0.2.2"])))]);
        assert!(of(&both, "ns", "192.0.2.1", None) && of(&both, "ns", "192.0.2.2", None));
        let one = view(&[("n2", node("draining", Some(&["192.0.2.2"])))]);
        assert!(!of(&one, "ns", "192.0.2.1", None), "the address of the node that is gone is gone with it");
        assert!(of(&one, "ns", "192.0.2.2", None), "a node that takes no mail itself goes on balancing");
        let stranger = view(&[("n3", node("ready", Some(&["192.0.2.1"]))), ("n2", node("ready", Some(&[])))]);
        assert!(!of(&stranger, "ns", "192.0.2.1", None), "it is not for that node");
        assert!(of(&view(&[("n2", node("ready", None))]), "ns", "192.0.2.1", None), "an older program says nothing");
        // What this node finds itself counts more than what it said a second ago.
        let mine = view(&[("n1", node("ready", Some(&["192.0.2.1"])))]);
        assert!(!of(&mine, "n1", "192.0.2.1", Some(Err("no member".into()))));
        assert!(of(&view(&[]), "n1", "192.0.2.1", Some(Ok(()))));
    }

    #[test]
    fn a_node_that_says_that_it_takes_no_mail_is_believed_while_etcd_answers() {
        let pressed = view(&[("n1", node("no-room", None)), ("n2", node("ready", None))]);
        assert_eq!(refusal(&pressed, "n1"), Some(Standing::Down("no-room".into())));
        assert_eq!((refusal(&pressed, "n2"), refusal(&pressed, "n3")), (None, None));
        let silent = View { silent: Some(Error::NoLeader("x".into())), ..pressed };
        assert_eq!(refusal(&silent, "n1"), None);
    }

    #[test]
    fn a_virtual_address_stands_while_somebody_has_it() {
        let held = Vip { holder: Some((1, VipHolder::default())), order: None };
        let mut view = View { at: 7, vips: [("front".to_string(), held)].into(), ..View::default() };
        assert_eq!(virtual_address(&view, "front"), Standing::Up);
        view.silent = Some(Error::NoLeader("x".into()));
        assert_eq!(virtual_address(&view, "front"), Standing::Up);
        assert!(matches!(virtual_address(&view, "back"), Standing::Down(_)));
        assert_eq!(virtual_address(&View::default(), "front"), Standing::Unknown);
    }
}
