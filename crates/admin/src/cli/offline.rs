//! The verbs that need no node: documents are read, passwords hashed.

use std::io::BufRead as _;
use std::path::Path;

use roles::offline::{self, Document, Says};
use roles::schema;

use super::client::Trouble;
use super::json::print_json;
use super::words::{Documents, ExplainWords, InitWords};
use crate::api::Explained;

/// `posthouse check`: exit code 0 if a node would start with these documents.
pub fn check(asked: Documents, json: bool) -> Result<(), Trouble> {
    let checked = offline::check(Document { config: asked.config, org: asked.org });
    if json {
        print_json(&checked)?;
    } else {
        checked.warnings.iter().for_each(|line| println!("{line}"));
    }
    match checked.problems.is_empty() {
        true if json => Ok(()),
        true => {
            checked.says.iter().for_each(print_says);
            println!("sound");
            Ok(())
        }
        false => Err(Trouble::Failed(checked.problems.join("\nposthouse: "))),
    }
}

/// `posthouse init`: writes what a new server starts with, and says what is still missing.
pub fn init(asked: InitWords, json: bool) -> Result<(), Trouble> {
    let done = offline::init(&asked.dir, &asked.role, &asked.name, &asked.domain).map_err(Trouble::Failed)?;
    if json {
        return print_json(&done);
    }
    done.files.iter().for_each(|file| println!("wrote {file}"));
    match done.checked.problems.is_empty() {
        true => {
            println!("sound; what is still to be said:");
            done.checked.warnings.iter().for_each(|line| println!("  {line}"));
            Ok(())
        }
        false => Err(Trouble::Failed(done.checked.problems.join("\nposthouse: "))),
    }
}

/// What sound documents say, in short.
fn print_says(says: &Says) {
    let objects = says.objects.iter().map(|(kind, count)| format!("{count} {kind}"));
    println!("{}: {}", says.org, objects.collect::<Vec<_>>().join(", "));
    says.listeners.iter().for_each(|listener| println!("{} listens on {listener}", says.node));
    if says.listeners.is_empty() {
        println!("{} takes no mail by SMTP", says.node);
    }
    println!("{} has its page and API on {}, its data in {}", says.node, says.http, says.data);
}

/// `posthouse explain --org FILE`
pub fn explain(asked: ExplainWords, json: bool) -> Result<(), Trouble> {
    let case = asked.case();
    let documents = Document { config: asked.documents.config, org: asked.documents.org };
    let text = offline::explain(documents, &case).map_err(Trouble::Failed)?;
    if json {
        return print_json(&Explained { text });
    }
    println!("{}", text.trim_end());
    Ok(())
}

/// `posthouse schema`
pub fn schema(node: bool) -> Result<(), Trouble> {
    print_json(&schema::schema(if node { schema::Document::Node } else { schema::Document::Org }))
}

/// `posthouse hash-password`
pub fn hash_password(scram: bool) -> Result<(), Trouble> {
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        eprintln!("Password (it is shown while you type; better pipe it in):");
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Trouble::Failed(format!("standard input: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Trouble::Usage("no password on standard input".into()));
    }
    println!("{}", offline::hash_password(password, scram).map_err(Trouble::Failed)?);
    Ok(())
}

/// Writes what was asked for; an existing file is replaced.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    offline::write_file(path, bytes).map_err(|error| Trouble::Failed(format!("{}: {error}", path.display())))
}
