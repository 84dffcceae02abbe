//! `posthouse message`.

use std::io::Write as _;

use roles::control::MessageFilter;
use roles::view::Message;

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::offline;
use super::table::{Table, number, size, text, time};
use super::words::MessageWords;
use crate::api::{Done, Messages, Redirect};

/// Does it.
pub async fn run(client: &Client, verb: MessageWords, json: bool) -> Result<(), Trouble> {
    match verb {
        MessageWords::List(words) => {
            let ids = words.ids;
            let found: Messages = client.get("/messages", &MessageFilter::from(*words)).await?;
            match (json, ids) {
                (true, _) => return print_json(&found),
                (false, true) => found.messages.iter().for_each(|message| println!("{}", message.id)),
                (false, false) => list(&found.messages),
            }
            if let Some(next) = found.next {
                eprintln!("there are more: --after {next} shows them, --limit shows more at once");
            }
            Ok(())
        }
        MessageWords::Show { id } => show(client, &id, json).await,
        MessageWords::Retry { ids } => order(client, &ids, "retry", json).await,
        MessageWords::Suspend { ids } => order(client, &ids, "suspend", json).await,
        MessageWords::Resume { ids } => order(client, &ids, "resume", json).await,
        MessageWords::Remove { ids, no_dsn: true } => order(client, &ids, "remove?no_dsn=true", json).await,
        MessageWords::Remove { ids, no_dsn: false } => order(client, &ids, "remove", json).await,
        MessageWords::Export { id, output } => {
            let bytes = client.get_bytes(&format!("/messages/{}/export", segment(&id))).await?;
            match output {
                Some(file) => offline::write_file(&file, &bytes),
                None => std::io::stdout().write_all(&bytes).map_err(|error| Trouble::Failed(error.to_string())),
            }
        }
        MessageWords::Redirect { id, to } => {
            let done: Done = client.post(&format!("/messages/{}/redirect", segment(&id)), &Redirect { to }).await?;
            tell(&done, json)
        }
    }
}

/// A table with a row for each recipient that is not settled.
pub fn list(messages: &[Message]) {
    let mut table = Table::new([
        text("id"),
        text("accepted (UTC)"),
        number("size"),
        text("sender"),
        text("recipient"),
        text("state"),
        text("next try (UTC)"),
        text("why"),
    ]);
    for message in messages {
        let waiting = message.recipients.iter().filter(|recipient| recipient.state != "settled");
        for (n, recipient) in waiting.enumerate() {
            let once = |text: String| if n == 0 { text } else { String::new() };
            table.row(vec![
                once(message.id.clone()),
                once(time(&message.accepted)),
                once(size(message.size_bytes)),
                once(sender(message)),
                recipient.address.clone(),
                recipient.state.clone(),
                recipient.next_try.as_deref().map(time).unwrap_or_default(),
                recipient.why.clone(),
            ]);
        }
    }
    table.print("no message matches");
}

fn sender(message: &Message) -> String {
    if message.sender.is_empty() { "<>".into() } else { message.sender.clone() }
}

async fn show(client: &Client, id: &str, json: bool) -> Result<(), Trouble> {
    let message: Message = client.get(&format!("/messages/{}", segment(id)), &()).await?;
    if json {
        return print_json(&message);
    }
    println!("{}  from {}  {}  priority {}", message.id, sender(&message), size(message.size_bytes), message.priority);
    println!("accepted {}, given up {} (UTC)", time(&message.accepted), time(&message.expires));
    if let Some(held) = &message.held {
        println!("held: {held}; posthouse message resume {} lets it go on", message.id);
    }
    if let Some(journal) = &message.journal {
        println!("it is in the journal {journal}, which this node delivers from");
    }
    if message.repeat {
        println!("it may have been delivered before: it was under way when its journal was last in use");
    }
    if message.crashes > 0 {
        println!("the process went down {} times while it was in hand", message.crashes);
    }
    println!();
    let columns = [
        text("recipient"),
        text("state"),
        text("queue"),
        number("attempts"),
        text("next try (UTC)"),
        text("why"),
        text("last answer"),
    ];
    let mut table = Table::new(columns);
    for recipient in &message.recipients {
        table.row(vec![
            recipient.address.clone(),
            recipient.state.clone(),
            recipient.queue.clone(),
            recipient.attempts.to_string(),
            recipient.next_try.as_deref().map(time).unwrap_or_default(),
            recipient.why.clone(),
            recipient.last_reply.clone().unwrap_or_default(),
        ]);
    }
    table.print("no recipients");
    println!("\nposthouse trace --id {} tells what happened to it", message.id);
    Ok(())
}

/// One after the other; the first that is refused ends it.
async fn order(client: &Client, ids: &[String], verb: &str, json: bool) -> Result<(), Trouble> {
    for id in ids {
        let done: Done = client.post(&format!("/messages/{}/{verb}", segment(id)), &()).await?;
        tell(&done, json)?;
    }
    Ok(())
}

fn tell(done: &Done, json: bool) -> Result<(), Trouble> {
    if json {
        return print_json(done);
    }
    println!("{}", done.done);
    Ok(())
}
