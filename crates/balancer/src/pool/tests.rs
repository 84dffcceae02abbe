//! The choice against simple models of it.

use super::*;
use directory::{Loaded, Start};
use proptest::prelude::*;
use std::path::Path;
use std::sync::atomic::AtomicU8;
use world::World;

/// Health that a test writes.
struct Told(AtomicU8);

impl Told {
    fn up() -> Arc<Told> {
        Arc::new(Told(AtomicU8::new(1)))
    }

    fn set(&self, health: Health) {
        self.0.store(health as u8, Ordering::Relaxed);
    }
}

impl Watched for Told {
    fn health(&self) -> Health {
        [Health::Unknown, Health::Up, Health::Down, Health::Draining][usize::from(self.0.load(Ordering::Relaxed))]
    }

    fn failed(&self) {}
}

/// A service with these settings, and members with these.
fn service(settings: &str, members: &[&str]) -> Service {
    let mut text = format!(
        "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n[[service]]\nname = \"s\"\nlisten = [\"127.0.0.9:25\"]\n{settings}\n"
    );
    for (number, settings) in members.iter().enumerate() {
        let address = format!("10.0.{}.{}:25", number / 200, number % 200 + 1);
        text += &format!("[[member]]\nname = \"m{number}\"\nservice = \"s\"\naddress = \"{address}\"\n{settings}\n");
    }
    let (world, _) = World::simulated(1);
    world.disk.replace_durable(Path::new("org.toml"), text.as_bytes()).unwrap();
    let start = Start { org: Some("org.toml".into()), ..Start::default() };
    let loaded = Loaded::load(world.disk.as_ref(), &start).unwrap_or_else(|problems| panic!("{problems}\nin\n{text}"));
    Service::clone(&loaded.org.services[0])
}

fn socket(member: &ServiceMember) -> SocketAddr {
    member.address.to_string().parse().unwrap()
}

/// A pool with the health of each member.
struct Trial {
    pool: Arc<Pool>,
    told: Vec<Arc<Told>>,
    service: Service,
}

impl Trial {
    fn new(settings: &str, members: &[&str]) -> Trial {
        let service = service(settings, members);
        let told: Vec<_> = members.iter().map(|_| Told::up()).collect();
        Trial { pool: Pool::new(0, &service, wanted(&service, &told)), told, service }
    }

    /// The document says this from now on.
    fn exchange(&mut self, now_ms: u64, settings: &str, members: &[&str]) {
        self.service = service(settings, members);
        self.told.resize_with(members.len(), Told::up);
        self.pool.exchange(now_ms, &self.service, wanted(&self.service, &self.told));
    }

    /// Only these members are there from now on.
    fn keep(&self, now_ms: u64, keep: impl Fn(&str) -> bool) {
        let all = wanted(&self.service, &self.told).into_iter();
        self.pool.exchange(now_ms, &self.service, all.filter(|one| keep(&one.member.name)).collect());
    }

    fn choose(&self, now_ms: u64, source: u32) -> Result<Place, Nobody> {
        self.pool.choose(now_ms, IpAddr::V4(source.into()), &Tried::new())
    }

    fn name(&self, now_ms: u64, source: u32) -> String {
        self.choose(now_ms, source).map_or_else(|why| why.word().into(), |place| place.member().name.to_string())
    }

    /// So many connections from clients of their own: the share of each member, in per cent.
    fn shares(&self, now_ms: u64, connections: u32, held: usize) -> Vec<f64> {
        let mut open = std::collections::VecDeque::new();
        let mut counts = vec![0_u32; self.told.len()];
        for number in 0..connections {
            let place = self.choose(now_ms, number.wrapping_mul(0x9e37_79b9)).unwrap();
            counts[place.member().name[1..].parse::<usize>().unwrap()] += 1;
            open.push_back(place);
            if open.len() > held {
                open.pop_front();
            }
        }
        counts.iter().map(|count| f64::from(*count) * 100.0 / f64::from(connections)).collect()
    }
}

fn wanted(service: &Service, told: &[Arc<Told>]) -> Vec<Wanted> {
    let told = |at: &str| told[at[1..].parse::<usize>().unwrap()].clone();
    let one = |member: &Arc<ServiceMember>| Wanted {
        member: member.clone(),
        address: socket(member),
        health: told(&member.name),
    };
    service.members.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Over 10,000 connections each member gets its share, within 5 per cent of all.
    #[test]
    fn everybody_gets_a_share(
        weights in prop::collection::vec(1_u32..20, 1..9),
        algorithm in prop::sample::select(vec!["least_connections", "round_robin", "source_hash"]),
        held in prop::sample::select(vec![0_usize, 64, 200]),
    ) {
        let members: Vec<String> = weights.iter().map(|weight| format!("weight = {weight}")).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let trial = Trial::new(&format!("algorithm = \"{algorithm}\""), &members);
        let total: u32 = weights.iter().sum();
        // In turn it is exact. By hash it is chance; by connections it follows which of them end when.
        let off_max = if algorithm == "round_robin" { 1.0 } else { 5.0 };
        for (share, weight) in trial.shares(0, 10_000, held).iter().zip(&weights) {
            let due = f64::from(*weight) * 100.0 / f64::from(total);
            prop_assert!((share - due).abs() <= off_max, "{algorithm} {weights:?} held {held}: {share} instead of {due}");
        }
    }

    /// By hash, of a member that leaves or drains only its clients move; to one that joins only those that it wins, about one in n.
    #[test]
    fn few_clients_move(weights in prop::collection::vec(1_u32..9, 2..9), gone in 0_usize..9, drains in any::<bool>()) {
        let gone = gone % weights.len();
        let lines = |drain: bool| -> Vec<String> {
            let line = |(number, weight): (usize, &u32)| format!("weight = {weight}\ndrain = {}", drain && number == gone);
            weights.iter().enumerate().map(line).collect()
        };
        let (before, after) = (lines(false), lines(true));
        let (before, after): (Vec<&str>, Vec<&str>) =
            (before.iter().map(String::as_str).collect(), after.iter().map(String::as_str).collect());
        let settings = "algorithm = \"source_hash\"\nslow_start = \"0s\"";
        let mut trial = Trial::new(settings, &before);
        let clients: Vec<u32> = (0..2_000_u32).map(|number| number.wrapping_mul(0x9e37_79b9)).collect();
        let first: Vec<String> = clients.iter().map(|client| trial.name(0, *client)).collect();
        let gone_name = format!("m{gone}");
        match drains {
            true => trial.exchange(1, settings, &after),
            false => trial.keep(1, |name| name != gone_name),
        }
        let mut moved = 0;
        for (client, was) in clients.iter().zip(&first) {
            let is = trial.name(1, *client);
            prop_assert!(is != gone_name);
            moved += u32::from(is != *was);
            prop_assert!(is == *was || *was == gone_name, "{client} was at {was} and is at {is}");
        }
        let due = f64::from(weights[gone]) / f64::from(weights.iter().sum::<u32>());
        prop_assert!(f64::from(moved) / 2_000.0 <= due + 0.06, "{moved} of 2000 moved, {due} were there");
        // It comes back: the same clients come back, and nobody else moves.
        trial.exchange(2, settings, &before);
        let back: Vec<String> = clients.iter().map(|client| trial.name(2, *client)).collect();
        prop_assert_eq!(back, first);
    }

    /// Whatever comes and goes: who is chosen has the fewest connections for its weight, of those who may be chosen.
    #[test]
    fn least_connections_is_what_a_simple_count_says(
        members in prop::collection::vec((1_u32..6, 1_u32..3, 0_u32..6), 1..7),
        steps in prop::collection::vec((0_u8..10, any::<u16>()), 1..300),
    ) {
        let lines: Vec<String> = members
            .iter()
            .map(|(weight, priority, most)| format!("weight = {weight}\npriority = {priority}\nconnections_max = {most}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let trial = Trial::new("slow_start = \"0s\"", &lines);
        let mut up = vec![true; members.len()];
        let mut open: Vec<(usize, Place)> = Vec::new();
        for (now_ms, (what, which)) in steps.into_iter().enumerate() {
            let which = usize::from(which);
            match what {
                0 => {
                    let at = which % members.len();
                    up[at] = !up[at];
                    trial.told[at].set(if up[at] { Health::Up } else { Health::Down });
                }
                1..=3 if !open.is_empty() => drop(open.swap_remove(which % open.len())),
                _ => {
                    let count = |at: usize| open.iter().filter(|(member, _)| *member == at).count() as u32;
                    let counts = |at: usize| up[at] || !up.contains(&true);
                    let may = |at: &usize| counts(*at) && (members[*at].2 == 0 || count(*at) < members[*at].2);
                    let all: Vec<usize> = (0..members.len()).filter(may).collect();
                    let first = all.iter().map(|at| members[*at].1).min();
                    let best: Vec<usize> = all.into_iter().filter(|at| Some(members[*at].1) == first).collect();
                    let lightest = best.iter().map(|at| members[*at].0).min().unwrap_or(1);
                    let load = |at: usize| count(at) * lightest / members[at].0;
                    match trial.choose(now_ms as u64, which as u32) {
                        Ok(place) => {
                            let at: usize = place.member().name[1..].parse().unwrap();
                            prop_assert!(best.contains(&at), "m{at} of {best:?}");
                            prop_assert!(best.iter().all(|other| load(at) <= load(*other)));
                            open.push((at, place));
                        }
                        Err(why) => {
                            prop_assert!(best.is_empty());
                            prop_assert_eq!(why, Nobody::AllFull);
                        }
                    }
                }
            }
        }
        for (at, member) in trial.pool.members().iter().enumerate() {
            prop_assert_eq!(member.active() as usize, open.iter().filter(|(of, _)| *of == at).count());
        }
    }
}

#[test]
fn why_there_is_nobody() {
    let trial = Trial::new("retries = 1\nretry_budget = 0", &["", "connections_max = 1"]);
    let source = IpAddr::from([192, 0, 2, 1]);
    let (a, b) = (trial.choose(0, 1).unwrap(), trial.choose(0, 2).unwrap());
    assert_ne!(a.member().name, b.member().name);
    let nobody = |tried: &Tried| trial.pool.choose(0, source, tried).map(|place| place.member().name.to_string());
    let mut tried = Tried::new();
    tried.add(&trial.pool.members()[0]);
    assert_eq!(nobody(&tried), Err(Nobody::AllFull), "the other one has its connection");
    tried.add(&trial.pool.members()[1]);
    assert_eq!(nobody(&tried), Err(Nobody::AllTried));
    trial.told.iter().for_each(|told| told.set(Health::Draining));
    assert_eq!(nobody(&Tried::new()), Err(Nobody::AllDown));
    assert_eq!(nobody(&tried), Err(Nobody::AllTried), "what was tried was there a moment ago");
    trial.told.iter().for_each(|told| told.set(Health::Unknown));
    assert_eq!(nobody(&Tried::new()), Ok("m0".into()), "nobody has looked yet");
    drop((a, b));
    trial.told[0].set(Health::Down);
    assert_eq!(nobody(&Tried::new()), Ok("m1".into()), "of one something is known, and nothing good");
    trial.told[1].set(Health::Draining);
    assert_eq!(nobody(&Tried::new()), Ok("m0".into()), "nobody is up, and a probe may be wrong");
    assert!(trial.pool.open(0).is_empty(), "whoever asks who is up hears that nobody is");
}

/// Ten further tries are free, then a share of the connections of the last ten seconds.
#[test]
fn further_tries_have_a_budget() {
    let trial = Trial::new("retry_budget = 20\nejection_failures = 0", &["", "", ""]);
    let further = |now_ms: u64| {
        let mut tried = Tried::new();
        tried.add(&trial.pool.members()[0]);
        (0..1_000).take_while(|_| trial.pool.choose(now_ms, [192, 0, 2, 1].into(), &tried).is_ok()).count()
    };
    assert_eq!(further(1_000), 10);
    (0..100).for_each(|client| drop(trial.choose(1_000, client)));
    assert_eq!(further(1_000), 20, "a fifth of a hundred");
    assert_eq!(further(6_000), 0, "still recent");
    assert_eq!(further(11_000), 10, "only what is free");
}

#[test]
fn failures_in_a_row_leave_a_member_alone_for_longer_each_time_and_never_all() {
    let settings = "ejection_failures = 3\nejection_time = \"10s\"\nejection_time_max = \"25s\"\nslow_start = \"0s\"\nalgorithm = \"round_robin\"";
    let trial = Trial::new(settings, &["", "", ""]);
    let names = |now_ms: u64| -> Vec<String> {
        let mut names: Vec<String> = (0..6).map(|client| trial.name(now_ms, client)).collect();
        names.sort();
        names.dedup();
        names
    };
    let fail = |now_ms: u64, name: &str, times: usize| {
        let places = (0..).map(|client| trial.choose(now_ms, client).unwrap());
        places
            .filter(|place| *place.member().name == *name)
            .take(times)
            .for_each(|place| place.refused(now_ms, &Refused::Silent));
    };
    fail(0, "m0", 2);
    let works =
        (0..).map(|client| trial.choose(0, client).unwrap()).find(|place| &*place.member().name == "m0").unwrap();
    works.greeted(0, 5);
    fail(0, "m0", 2);
    assert_eq!(names(0), ["m0", "m1", "m2"], "not in a row");
    fail(0, "m0", 1);
    assert_eq!(names(9_999), ["m1", "m2"]);
    fail(9_999, "m1", 9);
    assert_eq!(names(9_999), ["m1", "m2"], "two of three would be more than half");
    assert_eq!(names(10_000), ["m0", "m1", "m2"]);
    fail(10_000, "m0", 1);
    assert_eq!(names(29_999), ["m1", "m2"], "twice as long, after one failure");
    fail(30_000, "m0", 1);
    assert_eq!((names(54_999), names(55_000).len()), (vec!["m1".to_string(), "m2".into()], 3), "the longest");
    let shown = trial.pool.shown(54_000);
    assert_eq!((shown[0].ejected_for_ms, shown[1].ejected_for_ms), (1_000, 0));
    // It works for as long as it was away: the next time is the first again.
    (0..3).for_each(|client| trial.choose(80_000, client).unwrap().greeted(80_000, 1));
    fail(80_000, "m0", 3);
    assert_eq!((names(89_999).len(), names(90_000).len()), (2, 3));
    // Those that remain go down: one that is left alone is better than nobody.
    fail(90_000, "m0", 1);
    trial.told[1..].iter().for_each(|told| told.set(Health::Down));
    assert_eq!(names(90_001), ["m0"]);
}

#[test]
fn a_member_that_comes_back_gets_its_share_little_by_little() {
    let mut trial = Trial::new("slow_start = \"10s\"\nalgorithm = \"round_robin\"", &["", ""]);
    let share = |trial: &Trial, now_ms: u64| trial.shares(now_ms, 1_000, 0)[1].round();
    assert_eq!(share(&trial, 0), 50.0, "all begin together");
    trial.told[1].set(Health::Down);
    assert_eq!(share(&trial, 1_000), 0.0);
    trial.told[1].set(Health::Up);
    assert_eq!(share(&trial, 2_000), 9.0, "a tenth of its weight");
    assert_eq!(share(&trial, 7_000), 33.0, "half of it");
    assert_eq!(share(&trial, 12_000), 50.0);
    trial.exchange(20_000, "slow_start = \"10s\"\nalgorithm = \"round_robin\"", &["", "", ""]);
    assert_eq!(trial.shares(25_000, 1_000, 0)[2].round(), 20.0, "so does one that is new");
}

/// Extended affinity of the behaviours, 6.3.
#[test]
fn a_client_stays_while_it_is_remembered() {
    for algorithm in ["least_connections", "round_robin", "source_hash"] {
        let settings = format!(
            "algorithm = \"{algorithm}\"\naffinity_timeout = \"20m\"\naffinity_prefix = 24\nslow_start = \"0s\""
        );
        let mut trial = Trial::new(&settings, &["", "drain = true"]);
        let minute = 60_000;
        let clients: Vec<u32> = (0..50).map(|number| number << 8).collect();
        clients.iter().for_each(|client| assert_eq!(trial.name(0, *client), "m0"));
        trial.exchange(minute, &settings, &["", "", ""]);
        clients.iter().for_each(|client| assert_eq!(trial.name(19 * minute, *client + 7), "m0", "{algorithm}"));
        let held = trial.choose(19 * minute, clients[0]).unwrap();
        let moved = |now_ms| clients[1..].iter().filter(|client| trial.name(now_ms, **client) != "m0").count();
        assert_eq!(moved(38 * minute), 0, "each connection counts anew");
        assert!(moved(59 * minute) > 20, "{algorithm}: forgotten");
        drop(held);
        assert_eq!(
            trial.name(60 * minute, clients[0]),
            "m0",
            "{algorithm}: a connection that lasts is remembered until it ends"
        );
        trial.exchange(61 * minute, &settings, &["drain = true", "", ""]);
        assert_ne!(trial.name(61 * minute, clients[0]), "m0", "drained: new connections go elsewhere at once");
    }
    // The memory is bounded: strangers without end push out the longest unseen and nobody else is worse off than without it.
    let trial =
        Trial::new("algorithm = \"round_robin\"\naffinity_timeout = \"20m\"\naffinity_clients_max = 64", &["", ""]);
    (0..100_000).for_each(|client| assert!(trial.choose(0, client).is_ok()));
    assert_eq!(trial.pool.lock().table.as_ref().unwrap().size(), 64);
}

/// Behaviours 6.3: the first takes all, the next takes over.
#[test]
fn lower_groups_wait_until_the_higher_have_nobody() {
    let trial = Trial::new("slow_start = \"0s\"", &["priority = 2", "connections_max = 1", "", "priority = 3"]);
    trial.told[2].set(Health::Down);
    let first = trial.choose(0, 1).unwrap();
    assert_eq!(&*first.member().name, "m1");
    let over = trial.choose(0, 2).unwrap();
    assert_eq!(&*over.member().name, "m0", "the first group is full");
    trial.told[0].set(Health::Draining);
    assert_eq!(trial.name(0, 3), "m3");
    trial.told[2].set(Health::Up);
    assert_eq!(trial.name(0, 4), "m2");
}

#[test]
fn an_exchange_keeps_what_is_known_of_those_who_stay() {
    let mut trial =
        Trial::new("ejection_failures = 1\nalgorithm = \"round_robin\"\nslow_start = \"0s\"", &["", "", "", ""]);
    let held: Vec<Place> = (0..4).map(|client| trial.choose(0, client).unwrap()).collect();
    held[0].greeted(0, 800);
    held[0].moved(10, 20);
    held[1].refused(0, &Refused::Greeting(554));
    trial.exchange(1, "ejection_failures = 1", &["weight = 3", "", "drain = true"]);
    let shown = trial.pool.shown(1);
    assert_eq!(shown.iter().map(|member| member.active).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!((shown[0].greeted, shown[0].up_bytes, shown[0].down_bytes, shown[0].weight), (1, 10, 20, 3));
    assert_eq!((shown[1].refused, shown[1].ejected_for_ms), (1, 9_999));
    assert_eq!(held.iter().map(|place| place.member().is_drained()).collect::<Vec<_>>(), [false, false, true, true]);
    drop(held);
    assert!(trial.pool.shown(1).iter().all(|member| member.active == 0));
}

#[test]
fn names_of_tls_greetings_choose_members() {
    let trial = Trial::new(
        "protocol = \"imaps\"",
        &[
            "",
            "sni = [\"*.example.org\"]",
            "sni = [\"mail.example.org\", \"x.test\"]",
            "sni = [\"*.deep.example.org\"]",
        ],
    );
    let chosen = |name: Option<&str>| {
        let place = trial.pool.choose_named(0, [192, 0, 2, 1].into(), &Tried::new(), name);
        place.map(|place| place.member().name.to_string())
    };
    for (name, member) in [
        (None, "m0"),
        (Some("other.test"), "m0"),
        (Some("MAIL.example.org"), "m2"),
        (Some("x.test"), "m2"),
        (Some("web.example.org"), "m1"),
        (Some("a.deep.example.org"), "m3"),
        (Some("example.org"), "m0"),
        (Some(".example.org"), "m0"),
        (Some("notexample.org"), "m0"),
    ] {
        assert_eq!(chosen(name), Ok(member.to_string()), "{name:?}");
    }
    let only = Trial::new("protocol = \"imaps\"", &["sni = [\"a.test\"]"]);
    let stranger = only.pool.choose_named(0, [192, 0, 2, 1].into(), &Tried::new(), Some("b.test"));
    assert_eq!(stranger.map(drop), Err(Nobody::AllDown), "nobody is for that name");
}

#[test]
fn what_is_explained_is_what_happens_next() {
    let trial =
        Trial::new("affinity_timeout = \"1m\"", &["", "drain = true", "connections_max = 1", "priority = 2", ""]);
    trial.told[4].set(Health::Down);
    for client in 0..6 {
        let explained = trial.pool.explained(0, IpAddr::V4(client.into()));
        assert_eq!(trial.pool.explained(0, IpAddr::V4(client.into())), explained, "nothing changes by it");
        let place = trial.choose(0, client).unwrap();
        assert_eq!(explained.chosen.unwrap(), place.member().name);
        std::mem::forget(place);
    }
    let again = trial.pool.explained(0, IpAddr::V4(0.into()));
    let lines: Vec<&str> = again.members.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "gets it: the client was here lately",
            "is drained by the document",
            "has all the connections that it may have (1)",
            "is of priority 2: those before it come first",
            "is down",
        ]
    );
}

/// Two balancers with the same document send the same client to the same member.
#[test]
fn balancers_agree_on_the_hash() {
    let one = Trial::new("algorithm = \"source_hash\"", &["", "weight = 2", ""]);
    let other = Trial::new("algorithm = \"source_hash\"", &["", "weight = 2", ""]);
    (0..100).for_each(|client| drop(other.choose(0, client)));
    (0..500_u32).for_each(|client| assert_eq!(one.name(0, client * 77), other.name(0, client * 77)));
}

/// Many threads, one pool: counts come out even.
#[test]
fn threads_share_a_pool() {
    let trial = Trial::new("affinity_timeout = \"1m\"", &["connections_max = 3", "", "weight = 4"]);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let trial = &trial;
            scope.spawn(move || {
                for number in 0..2_000 {
                    let place = trial.choose(u64::from(number), thread << 16 | number).unwrap();
                    if number % 3 == 0 {
                        place.refused(u64::from(number), &Refused::Connect)
                    } else {
                        place.greeted(u64::from(number), 7)
                    }
                }
            });
        }
    });
    let shown = trial.pool.shown(9_999);
    assert_eq!(
        shown
            .iter()
            .map(|member| (member.active, member.connections))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
        (0, 8_000)
    );
    assert_eq!(shown.iter().map(|member| member.greeted + member.refused).sum::<u64>(), 8_000);
}
