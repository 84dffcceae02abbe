//! `posthouse restart`: has a new process take the place of the one that runs, and looks on.

use std::time::Duration;

use roles::view::{Restart, Status};

use super::client::{Client, Trouble};
use super::json::print_json;

/// What somebody wants to know before.
pub const RESTART: &str = "The program and the documents are read as they are now: after an upgrade, the new program runs. The new process gets the listening
sockets of the old one, so nobody who connects meanwhile is refused: whoever comes waits a moment. The old one finishes the mail in
flight, gives up the data directory, and stays only for what its services relay, for at most 'linger' ([limits] in posthouse.toml).
Virtual addresses stay where they are. If the new process cannot run, this says why, and the old one goes on.";

/// Begins it, and waits until the new process serves.
pub async fn run(client: &Client, json: bool) -> Result<(), Trouble> {
    let begun: Restart = client.post("/restart", &()).await?;
    let (old, mut said) = (begun.process, String::new());
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK_EVERY).await;
        match client.get::<Restart>("/restart", &()).await {
            Ok(now) if now.process != old => match done(client, old, json).await {
                // Somebody else restarts it just now: the next one is asked.
                Err(Trouble::NoNode(_)) => {}
                done => return done,
            },
            Ok(Restart { failed: Some(failed), .. }) => {
                return Err(Trouble::Failed(format!("not restarted: {failed}")));
            }
            Ok(now) if !json && now.stage != said => {
                println!("  {}", now.stage);
                said = now.stage;
            }
            // The connection ended with the old process, or nothing has changed.
            Ok(_) | Err(Trouble::NoNode(_)) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Err(Trouble::Failed(format!("process {old} has not given its place in time; posthouse status shows who serves")))
}

async fn done(client: &Client, old: u32, json: bool) -> Result<(), Trouble> {
    let status: Status = client.get("/status", &()).await?;
    if json {
        return print_json(&status);
    }
    println!(
        "process {} (version {}) serves in the place of {old}; {old} stays for what it still relays",
        status.pid, status.version
    );
    Ok(())
}

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longer than mail in flight may take, and the recovery of a large spool.
const LOOKS_MAX: u32 = 3_000;
