//! `posthouse org get`, `new`, `set`, `remove`, `test`: single objects of the organization document.

use clap::{Args, Subcommand};
use roles::control::{ObjectOrder, ObjectTest};
use roles::view::{Field, Object, ObjectChanged, Tested};
use serde_json::Value;

use super::client::{Client, Trouble, segment};
use super::json::print_json;
use super::org::print_lines;
use super::table::{Table, number, text};
use crate::api::{Kinds, Objects};

/// What is done with single objects.
#[derive(Subcommand)]
pub enum ObjectWords {
    /// The kinds of objects; all of a kind; or one, with every setting that it has
    #[command(after_help = EXAMPLES)]
    Get {
        /// send_connector, accepted_domain, user, retry, ...
        kind: Option<String>,
        /// Its name
        name: Option<String>,
    },
    /// Make an object
    #[command(after_help = EXAMPLES)]
    New(ChangeWords),
    /// Change an object
    #[command(after_help = EXAMPLES)]
    Set(ChangeWords),
    /// Remove an object
    #[command(after_help = EXAMPLES)]
    Remove(ChangeWords),
    /// See whether an object does what it is for: its listeners or next hops answer, its user could log on
    #[command(after_help = TEST)]
    Test {
        /// send_connector, receive_connector, accepted_domain, user, ...
        kind: String,
        /// Its name; without one, all of the kind
        name: Option<String>,
        /// For a send connector that delivers to MX hosts: those of this domain
        #[arg(long)]
        domain: Option<String>,
    },
}

const TEST: &str = "A receive connector's bindings and a send connector's hosts are greeted (EHLO, STARTTLS, QUIT): success, unable to connect,
transient (4xx), permanent (5xx) or external error. No message is sent and nothing is changed. Exit code 1 if anything failed.";

/// Which object, and what it gets.
#[derive(Args, Clone, Debug, Default)]
pub struct ChangeWords {
    /// send_connector, accepted_domain, user, retry, ...
    pub kind: String,
    /// Its name (not for what there is once), then key=value, key+=value and key-=value for lists, key- for the default
    #[arg(value_name = "NAME or KEY=VALUE")]
    pub words: Vec<String>,
    /// Why, in a sentence: it stands in the history [default: what is done]
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// Who [default: the login name]
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// The version of the document that it is meant for [default: the one that counts]
    #[arg(long, value_name = "N")]
    pub base: Option<u64>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

const EXAMPLES: &str = "Examples:
  posthouse org get                                          which kinds there are
  posthouse org get send_connector
  posthouse org get send_connector out
  posthouse org new send_connector second smart_hosts=10.0.0.6:25 cost=20 --dry-run
  posthouse org set send_connector out cost=20 smart_hosts+=10.0.0.7:25 port- --why \"a third host\"
  posthouse org set retry interval=5m
  posthouse org set organization postmaster=pm@example.org
  posthouse org remove send_connector second
Comments, order and formatting of the document stay as they are. The whole is checked before anything is written.
In a cluster it becomes the next version for all nodes; a node with --org FILE writes the file and runs it.";

/// Does it.
pub async fn run(client: &Client, words: ObjectWords, json: bool) -> Result<(), Trouble> {
    match words {
        ObjectWords::Get { kind: None, .. } => kinds(client, json).await,
        ObjectWords::Get { kind: Some(kind), name: None } => list(client, &kind, json).await,
        ObjectWords::Get { kind: Some(kind), name: Some(name) } => show(client, &kind, &name, json).await,
        ObjectWords::New(words) => change(client, "new", words, json).await,
        ObjectWords::Set(words) => change(client, "set", words, json).await,
        ObjectWords::Remove(words) => change(client, "remove", words, json).await,
        ObjectWords::Test { kind, name, domain } => test(client, &kind, name, domain, json).await,
    }
}

async fn kinds(client: &Client, json: bool) -> Result<(), Trouble> {
    let Kinds { kinds } = client.get("/org/objects", &()).await?;
    if json {
        return print_json(&Kinds { kinds });
    }
    let mut table = Table::new([text("kind"), number("written"), text("what it is")]);
    for kind in kinds {
        let what = kind.what.split(". ").next().unwrap_or_default().trim_end_matches('.').to_string();
        table.row(vec![kind.kind, kind.written.to_string(), what]);
    }
    table.print("there are none");
    Ok(())
}

async fn list(client: &Client, kind: &str, json: bool) -> Result<(), Trouble> {
    let Objects { objects } = client.get(&format!("/org/objects/{}", segment(kind)), &()).await?;
    if json {
        return print_json(&Objects { objects });
    }
    if let [only] = &objects[..]
        && only.name.is_empty()
    {
        print_object(only);
        return Ok(());
    }
    let mut table = Table::new([text("name"), number("line"), text("settings that are written")]);
    for object in &objects {
        let line = object.line.map(|line| line.to_string()).unwrap_or_default();
        let written = object.fields.iter().filter(|field| field.written && !names(object, field));
        let written: Vec<String> = written.map(|field| format!("{}={}", field.key, plain(&field.value))).collect();
        table.row(vec![object.name.clone(), line, written.join("  ")]);
    }
    table.print("there is none");
    Ok(())
}

fn names(object: &Object, field: &Field) -> bool {
    field.value.as_str() == Some(&object.name)
}

async fn show(client: &Client, kind: &str, name: &str, json: bool) -> Result<(), Trouble> {
    let object: Object = client.get(&format!("/org/objects/{}/{}", segment(kind), segment(name)), &()).await?;
    if json {
        return print_json(&object);
    }
    print_object(&object);
    Ok(())
}

/// Every setting: what counts, and whether it is written.
pub fn print_object(object: &Object) {
    let name = if object.name.is_empty() { String::new() } else { format!(" {}", object.name) };
    match object.line {
        Some(line) => println!("{}{name}, line {line} of the document", object.kind),
        None => println!("{}{name}: nothing of it is written", object.kind),
    }
    let mut table = Table::new([text("setting"), text("from"), text("value")]);
    for field in &object.fields {
        let from = if field.written { "document" } else { "default" };
        table.row(vec![field.key.clone(), from.into(), shown(field)]);
    }
    table.print("it has no settings");
}

/// A value for a person; in brackets what counts where there is none.
pub fn shown(field: &Field) -> String {
    if field.value.is_null() { format!("({})", field.otherwise) } else { plain(&field.value) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            if items.is_empty() { "(empty)".into() } else { items.join(", ") }
        }
        other => other.to_string(),
    }
}

/// Asks for a change and tells what became of it.
pub async fn change(client: &Client, verb: &str, words: ChangeWords, json: bool) -> Result<(), Trouble> {
    let dry_run = words.dry_run;
    let path = format!("/org/objects/{}/{verb}?dry_run={dry_run}", segment(&words.kind));
    let changed: ObjectChanged = client.post(&path, &order(client, words)?).await?;
    if json {
        return print_json(&changed);
    }
    print_lines(&changed.difference);
    changed.warnings.iter().for_each(|line| println!("{line}"));
    println!("{}", changed.done);
    if let Some(version) = changed.version.filter(|_| !changed.difference.is_empty()) {
        return super::org::told(client, version.version).await;
    }
    if let (Some(file), false, false) = (&changed.file, dry_run, changed.difference.is_empty()) {
        println!("{file} is written and runs");
    }
    if !changed.after_restart.is_empty() {
        println!("counts from the next start of the node on:");
        changed.after_restart.iter().for_each(|line| println!("  {line}"));
    }
    Ok(())
}

/// Tests one object, or all of a kind; the trouble says how many failed.
pub async fn test(
    client: &Client,
    kind: &str,
    name: Option<String>,
    domain: Option<String>,
    json: bool,
) -> Result<(), Trouble> {
    let names = match name {
        Some(name) => vec![name],
        None => {
            let Objects { objects } = client.get(&format!("/org/objects/{}", segment(kind)), &()).await?;
            objects.into_iter().map(|object| object.name).collect()
        }
    };
    let mut tested = Vec::new();
    for name in names {
        let asked = ObjectTest { name, domain: domain.clone() };
        let of: Tested = client.post(&format!("/org/objects/{}/test", segment(kind)), &asked).await?;
        tested.push(of);
    }
    match json {
        true => print_json(&tested)?,
        false => print_tested(&tested),
    }
    let failed: Vec<&str> = tested.iter().filter(|one| !one.ok).map(|one| one.name.as_str()).collect();
    if failed.is_empty() { Ok(()) } else { Err(Trouble::Failed(format!("failed: {}", failed.join(", ")))) }
}

fn print_tested(tested: &[Tested]) {
    let mut table = Table::new([text("object"), text("looked at"), text("result"), text("seen")]);
    for of in tested {
        for finding in &of.findings {
            let object = if of.name.is_empty() { of.kind.clone() } else { of.name.clone() };
            table.row(vec![object, finding.what.clone(), finding.result.clone(), finding.detail.clone()]);
        }
    }
    table.print("there is none");
}

/// From words to an order: a first word without `=` is the name.
fn order(client: &Client, words: ChangeWords) -> Result<ObjectOrder, Trouble> {
    let mut order = ObjectOrder {
        base: words.base,
        who: words.who.unwrap_or_else(|| client.login().into()),
        why: words.why.unwrap_or_default(),
        ..ObjectOrder::default()
    };
    for (at, word) in words.words.iter().enumerate() {
        let key = |text: &str| text.trim_end_matches(['+', '-']).trim().to_string();
        match word.split_once('=') {
            Some((left, value)) => {
                let map = match left.chars().last() {
                    Some('+') => &mut order.add,
                    Some('-') => &mut order.take,
                    _ => &mut order.set,
                };
                if map.insert(key(left), value.into()).is_some() {
                    return Err(Trouble::Usage(format!("{} is given twice", key(left))));
                }
            }
            None if at == 0 && !(word.ends_with('-') && is_once(&words.kind)) => order.name = word.clone(),
            None if word.ends_with('-') => order.unset.push(key(word)),
            None => return Err(Trouble::Usage(format!("'{word}' is no key=value, key+=value, key-=value or key-"))),
        }
    }
    Ok(order)
}

/// There is one of the kind only, and it has no name.
fn is_once(kind: &str) -> bool {
    directory::objects::kind(kind).is_ok_and(|section| !section.repeated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_name_and_what_it_gets() {
        let client = Client::new(None).map_err(|error| error.to_string());
        let client = client.unwrap_or_else(|error| panic!("{error}"));
        let of = |kind: &str, words: &[&str]| {
            let words = words.iter().map(|word| word.to_string()).collect();
            order(&client, ChangeWords { kind: kind.into(), words, ..ChangeWords::default() })
        };
        let made = of("send_connector", &["out", "cost=20", "smart_hosts+=a=b", "domains-=x", "port-"]).ok();
        let made = made.unwrap_or_default();
        assert_eq!(
            (made.name.as_str(), &made.set["cost"], made.unset),
            ("out", &"20".into(), vec!["port".to_string()])
        );
        assert_eq!((&made.add["smart_hosts"], &made.take["domains"]), (&"a=b".into(), &"x".into()));
        assert_eq!(of("retry", &["interval-"]).map(|order| order.unset).ok(), Some(vec!["interval".to_string()]));
        assert_eq!(of("user", &["a-"]).map(|order| order.name).ok(), Some("a-".into()));
        assert!(of("user", &["a", "b"]).is_err() && of("user", &["a", "b=1", "b=2"]).is_err());
    }
}
