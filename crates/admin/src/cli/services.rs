//! `posthouse service`.

use std::time::Duration;

use clap::{Args, Subcommand};
use roles::control::MemberOrder;
use roles::view::{Flow, MemberDrain, ObjectChanged, Service, ServiceMember, Services};

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::table::{Table, number, size, text};
use crate::api::OfService;

/// What is done with services.
#[derive(Subcommand)]
pub enum ServiceWords {
    /// All services: where clients connect to, how many members take connections, what goes through
    List,
    /// One service, its members and its balancers
    Show {
        /// Its name
        name: String,
        /// Again every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Take a member out: new connections go elsewhere, those that are there finish
    #[command(after_help = DRAIN)]
    Drain {
        /// The member
        member: String,
        /// Wait until nothing is left, and show what is
        #[arg(long)]
        wait: bool,
        /// Do not wait longer than so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 900, requires = "wait")]
        timeout: u64,
        /// Though the service has nobody else who takes connections
        #[arg(long)]
        force: bool,
        /// Of which, and why
        #[command(flatten)]
        of: Of,
    },
    /// Put a member back
    Resume {
        /// The member
        member: String,
        /// Of which, and why
        #[command(flatten)]
        of: Of,
    },
}

/// Which member is meant, and why.
#[derive(Args)]
pub struct Of {
    /// Its service; needed only if several have a member of that name
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Why, for the versions of the document and the audit log
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

/// For the help.
pub const EXAMPLES: &str = "Examples:
  posthouse service list                        what is there, and does it work?
  posthouse service show smtp --watch           who has how many connections just now?
  posthouse service drain hub2 --wait           take hub2 out; ends when its last connection is gone
  posthouse service resume hub2                 put it back";

const DRAIN: &str = "It sets 'drain = true' of the [[member]] in the organization document, so every balancer hears of it, and it stays drained until it is
resumed. A mail transaction that is under way finishes; a session that is idle hears 421 and connects elsewhere. The last member that
takes connections is not drained without --force. With --wait the exit code is 1 if something is left at the end of the time.
docs/operating/service-a-member.md has the whole of it.";

/// Does it.
pub async fn run(client: &Client, verb: ServiceWords, json: bool) -> Result<(), Trouble> {
    match verb {
        ServiceWords::List => list(client, json).await,
        ServiceWords::Show { name, watch } => show(client, &name, watch, json).await,
        ServiceWords::Drain { member, wait, timeout, force, of } => {
            let service = of.service.clone();
            change(client, &member, "drain", of, force, json && !wait).await?;
            match wait {
                true => look_on(client, &member, service, timeout, json).await,
                false => Ok(()),
            }
        }
        ServiceWords::Resume { member, of } => change(client, &member, "resume", of, false, json).await,
    }
}

async fn list(client: &Client, json: bool) -> Result<(), Trouble> {
    let services: Services = client.get("/services", &()).await?;
    if json {
        return print_json(&services);
    }
    let columns = [text("service"), text("protocol"), text("listens"), text("members"), number("connections")];
    let more = [number("new/s"), number("in/s"), number("out/s"), number("hidden"), number("unserved"), text("wrong")];
    let mut table = Table::new(columns.into_iter().chain(more).collect::<Vec<_>>());
    for service in &services.services {
        let flow = &service.flow;
        table.row(vec![
            service.name.clone(),
            service.protocol.clone(),
            service.listen.join(" "),
            members_in_short(service),
            flow.connections.to_string(),
            format!("{:.1}", flow.connections_per_s),
            size(flow.up_bytes_per_s as u64),
            size(flow.down_bytes_per_s as u64),
            service.retries_hidden.to_string(),
            service.unserved.to_string(),
            wrong(service),
        ]);
    }
    table.print("there is no service; docs/operating/one-name-for-many-hubs.md makes one");
    services.silent.iter().for_each(|who| println!("not counted: {who}"));
    Ok(())
}

/// `2 of 3 up`.
fn members_in_short(service: &Service) -> String {
    let takes = |member: &&ServiceMember| !member.drained && member.standing == "up";
    let drained = service.members.iter().filter(|member| member.drained).count();
    let drained = if drained == 0 { String::new() } else { format!(", {drained} drained") };
    format!("{} of {} up{drained}", service.members.iter().filter(takes).count(), service.members.len())
}

fn wrong(service: &Service) -> String {
    if !service.enabled {
        return "switched off (enabled = false)".into();
    }
    if service.balancers.is_empty() {
        return "no node that answers does it".into();
    }
    let of = |balancer: &roles::view::ServiceBalancer| {
        balancer.wrong.as_ref().map(|wrong| format!("{}: {wrong}", balancer.node))
    };
    service.balancers.iter().filter_map(of).collect::<Vec<_>>().join("; ")
}

async fn show(client: &Client, name: &str, watch: bool, json: bool) -> Result<(), Trouble> {
    loop {
        let service: Service = client.get(&format!("/services/{}", segment(name)), &()).await?;
        match json {
            true => print_json(&service)?,
            false => print!("{}{}", if watch { CLEAR } else { "" }, drawn(&service)),
        }
        if !watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

fn drawn(service: &Service) -> String {
    let Service { name, hostname, protocol, listen, algorithm, retries_hidden, unserved, flow, .. } = service;
    let mut out = format!("{name}: {protocol} for {hostname} on {}, {algorithm}\n", listen.join(", "));
    out += &format!(
        "  {} connections, {:.1} new a second, {}/s in, {}/s out; {retries_hidden} failures of members hidden from clients, {unserved} clients not served\n",
        flow.connections,
        flow.connections_per_s,
        size(flow.up_bytes_per_s as u64),
        size(flow.down_bytes_per_s as u64),
    );
    let wrong = wrong(service);
    if !wrong.is_empty() {
        out += &format!("  WRONG: {wrong}\n");
    }
    let mut table = members_table("");
    service.members.iter().for_each(|member| table.row(member_cells(None, member)));
    out += &table.text();
    if service.balancers.len() > 1 {
        let mut table = members_table("balancer");
        for balancer in &service.balancers {
            balancer.members.iter().for_each(|member| table.row(member_cells(Some(&balancer.node), member)));
        }
        out += "\n";
        out += &table.text();
    }
    out
}

fn members_table(first: &'static str) -> Table {
    let columns = [text("member"), text("address"), text("standing"), number("connections"), number("in a mail")];
    let more =
        [number("new/s"), number("in/s"), number("out/s"), number("refused"), number("greets in"), number("99 % in")];
    let balancer = (!first.is_empty()).then_some(text(first));
    let all = balancer.into_iter().chain(columns).chain(more).chain([text("why")]);
    Table::new(all.collect::<Vec<_>>())
}

fn member_cells(balancer: Option<&str>, member: &ServiceMember) -> Vec<String> {
    let Flow { connections, in_transaction, connections_per_s, up_bytes_per_s, down_bytes_per_s, .. } = member.flow;
    let standing = match (member.drained, member.standing.as_str()) {
        (true, standing) => format!("DRAINED ({standing})"),
        (false, "up") => "up".into(),
        (false, standing) => standing.to_uppercase(),
    };
    let ejected = match member.ejected_for_ms {
        0 => String::new(),
        ms => format!("left alone for {} s more, its connections failed", ms.div_ceil(1000)),
    };
    let why: Vec<&str> = [ejected.as_str(), &member.reason].into_iter().filter(|part| !part.is_empty()).collect();
    let cells = vec![
        member.name.clone(),
        member.address.clone(),
        standing,
        connections.to_string(),
        in_transaction.to_string(),
        format!("{connections_per_s:.1}"),
        size(up_bytes_per_s as u64),
        size(down_bytes_per_s as u64),
        member.refused.to_string(),
        ms(member.greeting_median_us),
        ms(member.greeting_p99_us),
        why.join("; "),
    ];
    balancer.map(String::from).into_iter().chain(cells).collect()
}

fn ms(us: u64) -> String {
    if us == 0 { String::new() } else { format!("{:.1} ms", us as f64 / 1000.0) }
}

async fn change(client: &Client, member: &str, verb: &str, of: Of, force: bool, json: bool) -> Result<(), Trouble> {
    let order = MemberOrder { service: of.service, force, who: String::new(), why: of.why };
    let changed: ObjectChanged = client.post(&format!("/members/{}/{verb}", segment(member)), &order).await?;
    if json {
        return print_json(&changed);
    }
    println!("{}", changed.done);
    if let Some(version) = &changed.version {
        println!("  version {} of the organization document", version.version);
    }
    changed.warnings.iter().for_each(|warning| println!("  {warning}"));
    Ok(())
}

/// Shows what is left until nothing is, or the time is over.
async fn look_on(
    client: &Client,
    member: &str,
    service: Option<String>,
    timeout_s: u64,
    json: bool,
) -> Result<(), Trouble> {
    let path = format!("/members/{}/drain", segment(member));
    let query = OfService { service };
    let (mut said, mut looks) = (String::new(), 0);
    loop {
        let now: MemberDrain = client.get(&path, &query).await?;
        if now.is_over() {
            return match json {
                true => print_json(&now),
                false => {
                    println!(
                        "nothing of {} is left: it may be serviced; posthouse service resume {member} puts it back",
                        now.member
                    );
                    Ok(())
                }
            };
        }
        let left = left(&now);
        if !json && left != said {
            println!("  {left}");
            said.clone_from(&left);
        }
        if looks >= timeout_s * LOOKS_PER_S {
            return Err(Trouble::Failed(format!("after {timeout_s} s this is left of {}: {left}", now.member)));
        }
        looks += 1;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `12 connections on n1, 3 of them in a mail; n2 does not answer ...`.
fn left(now: &MemberDrain) -> String {
    let at = |at: &roles::view::DrainAt| match (at.drained, at.connections) {
        (false, _) => Some(format!("{} has not heard of it yet", at.node)),
        (true, 0) => None,
        (true, n) => Some(format!("{n} connections on {}, {} of them in a mail", at.node, at.in_transaction)),
    };
    let parts: Vec<String> = now.balancers.iter().filter_map(at).chain(now.silent.iter().cloned()).collect();
    parts.join("; ")
}

/// Cursor home, and all below cleared.
const CLEAR: &str = "\x1b[H\x1b[2J";
const WATCH_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS_PER_S: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use roles::view::DrainAt;

    #[test]
    fn what_is_left_is_said_by_balancer() {
        let at = |node: &str, drained, connections, in_transaction| DrainAt {
            node: node.into(),
            drained,
            connections,
            in_transaction,
        };
        let now = MemberDrain {
            member: "hub2".into(),
            balancers: vec![at("n1", true, 12, 3), at("n2", true, 0, 0), at("n3", false, 4, 0)],
            silent: vec!["n4 does not answer".into()],
            ..MemberDrain::default()
        };
        let wanted = "12 connections on n1, 3 of them in a mail; n3 has not heard of it yet; n4 does not answer";
        assert_eq!(left(&now), wanted);
    }
}
