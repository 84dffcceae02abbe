//! `posthouse queue`.

use roles::control::MessageFilter;
use roles::view::Queue;

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::messages;
use super::table::{Table, number, size, text, time};
use super::words::QueueWords;
use crate::api::{Messages, Queues};

/// Does it.
pub async fn run(client: &Client, verb: QueueWords, json: bool) -> Result<(), Trouble> {
    match verb {
        QueueWords::List => {
            let queues: Queues = client.get("/queues", &()).await?;
            if json {
                return print_json(&queues);
            }
            list(&queues.queues);
            Ok(())
        }
        QueueWords::Show { name } => show(client, &name, json).await,
        QueueWords::Suspend { name } => order(client, &name, "suspend", json).await,
        QueueWords::Resume { name } => order(client, &name, "resume", json).await,
        QueueWords::Retry { name } => order(client, &name, "retry", json).await,
    }
}

fn list(queues: &[Queue]) {
    let mut table = Table::new([
        text("queue"),
        text("state"),
        number("messages"),
        number("size"),
        text("next try (UTC)"),
        text("why"),
    ]);
    for queue in queues {
        table.row(vec![
            queue.name.clone(),
            queue.state.clone(),
            queue.messages.to_string(),
            size(queue.bytes),
            queue.next_retry.as_deref().map(time).unwrap_or_default(),
            queue.why.clone(),
        ]);
    }
    table.print("no mail waits: there is no queue");
}

async fn show(client: &Client, name: &str, json: bool) -> Result<(), Trouble> {
    let queue: Queue = client.get(&format!("/queues/{}", segment(name)), &()).await?;
    if json {
        return print_json(&queue);
    }
    println!("{}: {}, {}", queue.name, queue.state, queue.why);
    if !queue.journals.is_empty() {
        println!("with mail of {}", queue.journals.join(", "));
    }
    println!(
        "{} messages ({}): {} ready, {} being delivered, {} deferred, {} suspended",
        queue.messages,
        size(queue.bytes),
        queue.ready,
        queue.active,
        queue.deferred,
        queue.suspended
    );
    println!("{:.1} in and {:.1} out per second in the last minute", queue.incoming_per_s, queue.outgoing_per_s);
    if let Some(at) = &queue.last_attempt {
        println!("last attempt {}{}", time(at), queue.last_error.as_ref().map_or(String::new(), |e| format!(": {e}")));
    }
    if let Some(at) = &queue.next_retry {
        println!("next attempt {}", time(at));
    }
    let filter = MessageFilter { queue: Some(name.into()), limit: Some(20), ..MessageFilter::default() };
    let Messages { messages: oldest, .. } = client.get("/messages", &filter).await?;
    if !oldest.is_empty() {
        println!("\nits oldest messages:");
        messages::list(&oldest);
    }
    Ok(())
}

async fn order(client: &Client, name: &str, verb: &str, json: bool) -> Result<(), Trouble> {
    let queue: Queue = client.post(&format!("/queues/{}/{verb}", segment(name)), &()).await?;
    if json {
        return print_json(&queue);
    }
    println!("{}: {}, {}", queue.name, queue.state, queue.why);
    Ok(())
}
