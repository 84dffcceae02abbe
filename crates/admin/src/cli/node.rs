//! The verbs about the node as a whole.

use std::time::Duration;

use roles::view::{Config, Pressure, Status};

use super::client::{Client, Trouble};
use super::journals;
use super::json::print_json;
use super::org;
use super::table::{Table, duration, number, size, text, time};
use super::words::ExplainWords;
use crate::api::{Documents, Events, Explained, Ready, TraceQuery};

/// `posthouse health`
pub async fn health(client: &Client, patience_ms: u64, json: bool) -> Result<(), Trouble> {
    let asked = client.get::<Status>("/status", &());
    let status = tokio::time::timeout(Duration::from_millis(patience_ms), asked).await;
    let status = status.map_err(|_| Trouble::NoNode(format!("no answer within {patience_ms} ms")))??;
    if json {
        print_json(&Ready { ready: status.ready, reasons: status.reasons.clone() })?;
    }
    match (status.ready, json) {
        (true, false) => println!("{} takes mail", status.name),
        (true, true) => {}
        (false, _) => {
            return Err(Trouble::Failed(format!("{} takes no mail: {}", status.name, status.reasons.join("; "))));
        }
    }
    Ok(())
}

/// `posthouse status`
pub async fn status(client: &Client, json: bool) -> Result<(), Trouble> {
    let status: Status = client.get("/status", &()).await?;
    if json {
        return print_json(&status);
    }
    let takes = if status.ready { "takes mail" } else { "TAKES NO MAIL" };
    println!("{}: {}, {takes}, up {}", status.name, status.phase, duration(status.uptime_s));
    status.reasons.iter().for_each(|reason| println!("  {reason}"));
    for listener in &status.listeners {
        let word = if listener.unbound.is_some() { "UNBOUND    " } else { "listens    " };
        println!("{word}{} {} ({})", listener.address, listener.protocol, listener.connectors.join(", "));
        listener.unbound.iter().for_each(|why| println!("  {why}"));
    }
    println!("page, API  http://{}/", status.http);
    println!("data       {}", status.data);
    let spool = &status.spool;
    println!(
        "custody    {} messages, {}: {} ready, {} being delivered, {} deferred, {} suspended, {} set aside",
        spool.messages,
        size(spool.bytes),
        spool.ready,
        spool.active,
        spool.deferred,
        spool.suspended,
        spool.poison
    );
    println!("since start {} accepted, {} finished, {} notifications made", spool.accepted, spool.finished, spool.dsns);
    let journal = &status.journal;
    println!(
        "journal    {} live in {} segments, {}; a sync takes {} us",
        size(journal.live_bytes),
        journal.segments,
        if journal.room { "room for new mail" } else { "NO ROOM for new mail" },
        journal.sync_us_mean
    );
    print_pressure(&status.pressure);
    for one in &status.directories {
        println!("directory  {}: {}, {} recipients", one.name, one.state, one.recipients);
        one.wrong.iter().for_each(|what| println!("  {what}"));
    }
    if let Some(cluster) = &status.cluster {
        let answers = if cluster.etcd { "answers" } else { "DOES NOT ANSWER" };
        println!(
            "cluster    etcd {answers} since {} (UTC); posthouse cluster status shows all nodes",
            time(&cluster.etcd_since)
        );
        cluster.wrong.iter().for_each(|what| println!("  {what}"));
    }
    print_peers(&status);
    if status.peers_listen.is_some() {
        journals::print(&status);
    }
    print_org(&status);
    print_config(&status.config);
    Ok(())
}

/// One line when all is normal; else which resource, its value, its thresholds, what is refused, what to do.
fn print_pressure(pressure: &Pressure) {
    let pressed = pressure.resources.iter().filter(|of| !of.why.is_empty());
    println!("pressure   {}", pressure.level);
    for of in pressed {
        println!("  {} is {}: {}; {}", of.resource, of.level, of.why, of.what_to_do);
    }
    pressure.effects.iter().for_each(|effect| println!("  {effect}"));
}

fn print_peers(status: &Status) {
    let Some(listen) = &status.peers_listen else { return };
    let until = status.peers_certificate_until.as_deref().map(time).unwrap_or_default();
    println!("peers      listens {listen}, own certificate valid until {until} (UTC)");
    let columns = [text("peer"), text("link"), text("since (UTC)"), text("address"), number("round trip")];
    let more = [number("in"), number("out"), text("certificate until"), text("last error")];
    let mut table = Table::new(columns.into_iter().chain(more).collect::<Vec<_>>());
    for peer in &status.peers {
        let error = peer.last_error.as_deref().map(|what| match &peer.last_error_at {
            Some(at) => format!("{}: {what}", time(at)),
            None => what.to_string(),
        });
        table.row(vec![
            peer.name.clone(),
            if peer.connected { "up".into() } else { "DOWN".into() },
            time(&peer.since),
            peer.remote.clone().unwrap_or_else(|| peer.address.clone()),
            peer.round_trip_us.map(|us| format!("{us} us")).unwrap_or_default(),
            size(peer.in_bytes),
            size(peer.out_bytes),
            peer.certificate_until.as_deref().map(time).unwrap_or_default(),
            error.unwrap_or_default(),
        ]);
    }
    table.print("no [[peer]] is in the node document");
}

fn print_org(status: &Status) {
    let Some(state) = &status.org else { return };
    org::print_state(state, "");
    for other in state.nodes.iter().filter(|other| other.node != status.name) {
        let counts = state.counts.as_ref().map_or(0, |counts| counts.version);
        if let (true, Some(why)) = (other.runs != counts, &other.refused) {
            let runs =
                if other.runs == 0 { "what it was started with".into() } else { format!("version {}", other.runs) };
            println!("  {} runs {runs}, {why}", other.node);
        }
    }
}

fn print_config(config: &Config) {
    println!("runs       {}, loaded {} (UTC)", config.files.join(", "), time(&config.loaded));
    if !config.as_written {
        println!("what runs is not what is written (- runs, + is written):");
        config.difference.iter().for_each(|line| println!("  {line}"));
    }
}

/// `posthouse trace`
pub async fn trace(client: &Client, query: TraceQuery, json: bool) -> Result<(), Trouble> {
    let found: Events = client.get("/trace", &query).await?;
    if json {
        return print_json(&found);
    }
    let columns =
        [text("time (UTC)"), text("event"), text("id"), text("from"), text("to"), text("peer"), text("answer")];
    let mut table = Table::new(columns);
    for event in found.events {
        let answer = [event.reply, event.context].into_iter().filter(|part| !part.is_empty());
        table.row(vec![
            time(&event.time),
            event.event,
            event.id.unwrap_or_default(),
            event.sender.unwrap_or_default(),
            event.recipients.join(" "),
            event.peer,
            answer.collect::<Vec<_>>().join("  "),
        ]);
    }
    table.print("no event matches");
    Ok(())
}

/// `posthouse explain`, asked of the running node.
pub async fn explain(client: &Client, asked: ExplainWords, json: bool) -> Result<(), Trouble> {
    let explained: Explained = client.get("/explain", &asked.case()).await?;
    if json {
        return print_json(&explained);
    }
    println!("{}", explained.text.trim_end());
    Ok(())
}

/// `posthouse config`
pub async fn config(client: &Client, json: bool) -> Result<(), Trouble> {
    let documents: Documents = client.get("/config", &()).await?;
    if json {
        return print_json(&documents);
    }
    println!("# posthouse.toml\n{}\n# org.toml\n{}", documents.node, documents.org);
    Ok(())
}

/// `posthouse reload`
pub async fn reload(client: &Client, json: bool) -> Result<(), Trouble> {
    let config: Config = client.post("/config/reload", &()).await?;
    if json {
        return print_json(&config);
    }
    print_config(&config);
    Ok(())
}
