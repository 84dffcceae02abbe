//! Objects of a document, one by one: what an edit changes and, above all, what it does not.
#![allow(clippy::unwrap_used)] // a test says so by failing

use directory::objects::{Change, Value, Verb, edited, kind, objects};
use proptest::prelude::*;
use std::collections::BTreeMap;

const TEXT: &str = "# The organization of example.org\n\npostmaster = \"pm@example.org\" # reads it\n\n# Outside.\n[[receive_connector]]\n\
                    name = \"in\" # all\n  listen = [ \n   \"0.0.0.0:25\", # the world\n ]\n  # more to come\n\n# Users.\n[[receive_connector]]\n\
                    name = \"sub\"\nprotocol = 'submission'\nlisten = ['0.0.0.0:587']\n\n# Out.\n[[send_connector]]\nname = \"out\"\nmx = true\n# ends here\n";

fn change(word: &str, verb: Verb, name: &str) -> Change {
    Change {
        section: kind(word).unwrap(),
        name: name.into(),
        verb,
        set: vec![],
        add: vec![],
        take: vec![],
        unset: vec![],
    }
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, Value)> {
    of.iter().map(|(key, value)| (key.to_string(), Value::Text(value.to_string()))).collect()
}

fn set(word: &str, name: &str, of: &[(&str, &str)]) -> String {
    edited(TEXT, &Change { set: pairs(of), ..change(word, Verb::Set, name) }).unwrap()
}

#[test]
fn a_value_is_replaced_in_its_place() {
    assert_eq!(set("send-connector", "out", &[("mx", "no")]), TEXT.replace("mx = true", "mx = false"));
    assert_eq!(set("SendConnector", "OUT", &[("name", "way")]), TEXT.replace("\"out\"", "\"way\""));
    let listen = set("receive_connector", "in", &[("listen", "0.0.0.0:25,0.0.0.0:26")]);
    assert!(listen.contains("  listen = [\"0.0.0.0:25\", \"0.0.0.0:26\"]\n  # more to come\n\n# Users."), "{listen}");
    assert_eq!(set("organization", "", &[("postmaster", "x@y")]), TEXT.replace("pm@example.org", "x@y"));
}

#[test]
fn a_new_key_goes_behind_the_last_one_and_an_old_one_goes_with_its_line() {
    let text = set("receive_connector", "in", &[("tls", "off"), ("errors_max", "9")]);
    assert!(text.contains(" ]\n  tls = \"off\"\n  errors_max = 9\n  # more to come\n\n# Users.\n"), "{text}");
    let unset = Change { unset: vec!["protocol".into()], ..change("receive_connector", Verb::Set, "sub") };
    assert_eq!(edited(TEXT, &unset).unwrap(), TEXT.replace("protocol = 'submission'\n", ""));
    let unset = Change { unset: vec!["listen".into()], ..change("receive_connector", Verb::Set, "in") };
    assert!(edited(TEXT, &unset).unwrap().contains("name = \"in\" # all\n  # more to come\n"));
}

#[test]
fn lists_grow_and_shrink_from_what_counts() {
    let of = |name: &str, add: &[(&str, &str)], take: &[(&str, &str)]| {
        let change = Change { add: pairs(add), take: pairs(take), ..change("receive_connector", Verb::Set, name) };
        edited(TEXT, &change)
    };
    assert!(of("sub", &[("permissions", "relay")], &[]).unwrap().contains("permissions = [\"users\", \"relay\"]"));
    assert!(
        of("in", &[("permissions", "relay")], &[("permissions", "anonymous")])
            .unwrap()
            .contains("permissions = [\"relay\"]")
    );
    assert!(of("in", &[("listen", "[::]:25")], &[]).unwrap().contains("listen = [\"0.0.0.0:25\", \"[::]:25\"]\n"));
    assert!(
        of("in", &[], &[("listen", "x:1")])
            .unwrap_err()
            .to_string()
            .contains("listen does not hold \"x:1\"; it holds 0.0.0.0:25")
    );
    assert!(of("in", &[("errors_max", "1")], &[]).unwrap_err().error.contains("errors_max is no list"));
}

#[test]
fn a_usage_stands_in_for_what_is_not_written() {
    let text = "[[receive_connector]]\nname = \"c\"\nusage = \"client\"\n";
    let shown = |key: &str| {
        let of = objects(text, kind("receive_connector").unwrap()).unwrap().swap_remove(0);
        of.fields.into_iter().find(|field| field.setting.key == key).unwrap().value.unwrap().text()
    };
    assert_eq!(["protocol", "tls", "permissions"].map(shown), ["submission", "require", "users"]);
    assert_eq!(shown("message_rate_per_minute"), "5", "a submission connector by its usage");
    let more = Change { add: pairs(&[("permissions", "relay")]), ..change("receive_connector", Verb::Set, "c") };
    assert!(edited(text, &more).unwrap().contains("permissions = [\"users\", \"relay\"]"), "nobody else comes in");
}

#[test]
fn objects_come_and_go_whole() {
    let new = Change { set: pairs(&[("listen", "127.0.0.1:26")]), ..change("receive_connector", Verb::New, "more") };
    let made = edited(TEXT, &new).unwrap();
    let block = "[[receive_connector]]\nname = \"more\"\nlisten = [\"127.0.0.1:26\"]\n";
    assert_eq!(made, TEXT.replace("587']\n\n# Out.", &format!("587']\n\n{block}\n# Out.")));
    assert_eq!(edited(&made, &change("receive_connector", Verb::Remove, "more")).unwrap(), TEXT);
    let behind = edited(TEXT, &change("send_connector", Verb::New, "x")).unwrap();
    assert_eq!(behind, format!("{TEXT}\n[[send_connector]]\nname = \"x\"\n"));
    let first = edited(TEXT, &change("user", Verb::New, "ann")).unwrap();
    assert_eq!(first, format!("{TEXT}\n[[user]]\nname = \"ann\"\n"));
    let gone = edited(TEXT, &change("receive_connector", Verb::Remove, "in")).unwrap();
    assert!(gone.contains("reads it\n\n# Users.\n[[receive_connector]]\nname = \"sub\""), "{gone}");
    let last = edited(TEXT, &change("send_connector", Verb::Remove, "out")).unwrap();
    assert!(last.ends_with("587']\n"), "{last}");
    assert!(
        edited(TEXT, &Change { set: pairs(&[("interval", "10m")]), ..change("retry", Verb::Set, "") })
            .unwrap()
            .ends_with("# ends here\n\n[retry]\ninterval = \"10m\"\n")
    );
    let without = TEXT.replace("postmaster = \"pm@example.org\" # reads it\n\n", "");
    let top = Change { set: pairs(&[("postmaster", "a@b")]), ..change("organization", Verb::Set, "") };
    assert!(
        edited(&without, &top)
            .unwrap()
            .starts_with("# The organization of example.org\n\npostmaster = \"a@b\"\n\n# Outside.\n")
    );
    assert_eq!(edited("", &top).unwrap(), "postmaster = \"a@b\"\n\n");
    let crlf = TEXT.replace('\n', "\r\n");
    assert_eq!(edited(&crlf, &new).unwrap(), made.replace('\n', "\r\n"));
}

#[test]
fn what_cannot_be_meant_is_told() {
    let error = |text: &str, change: &Change| edited(text, change).unwrap_err().to_string();
    assert!(kind("sendconector").unwrap_err().to_string().contains("did you mean \"send_connector\"?"));
    let of = |set: &[(&str, &str)]| Change { set: pairs(set), ..change("send_connector", Verb::Set, "out") };
    assert!(error(TEXT, &of(&[("prot", "1")])).contains("no key \"prot\"; did you mean \"port\"?"));
    assert!(error(TEXT, &of(&[("port", "smtp")])).contains("port = smtp is not understood; a whole number"));
    assert!(error(TEXT, &of(&[("port", "1"), ("port", "2")])).contains("port is given twice"));
    assert!(
        error(TEXT, &change("send_connector", Verb::Remove, "oot"))
            .contains("no send_connector \"oot\"; did you mean \"out\"?")
    );
    assert!(error(TEXT, &change("send_connector", Verb::New, "Out")).contains("a send_connector \"Out\" already"));
    assert!(error(TEXT, &change("retry", Verb::Remove, "")).contains("there is always one retry"));
    assert!(error("a = [\n", &of(&[])).contains("line 1 of the document is no TOML"));
    let inline = "send_connector = [{name = \"out\"}]\n";
    assert!(error(inline, &of(&[("port", "1")])).contains("another way than as [[send_connector]] (line 1)"));
}

#[test]
fn what_is_read_has_defaults_beside_what_is_written() {
    let found = objects(TEXT, kind("receive_connector").unwrap()).unwrap();
    assert_eq!(
        found.iter().map(|o| (o.name.as_str(), o.line)).collect::<Vec<_>>(),
        [("in", Some(6)), ("sub", Some(14))]
    );
    let field = |at: usize, key: &str| found[at].fields.iter().find(|field| field.setting.key == key).unwrap();
    assert_eq!(field(0, "permissions").value, Some(Value::Texts(vec!["anonymous".into()])));
    assert_eq!(field(1, "permissions").value, Some(Value::Texts(vec!["users".into()])));
    assert!(field(1, "protocol").written && !field(1, "permissions").written);
    assert_eq!((&field(0, "hostname").value, field(0, "hostname").otherwise()), (&None, "the node's name"));
    let retry = objects(TEXT, kind("retry").unwrap()).unwrap();
    assert_eq!((retry.len(), retry[0].line), (1, None));
}

/// Every table of a document as plain data.
fn model(text: &str) -> BTreeMap<String, Vec<toml::Table>> {
    let root: toml::Table = text.parse().unwrap();
    let tables = |value: &toml::Value| match value {
        toml::Value::Array(all) => all.iter().filter_map(|one| one.as_table().cloned()).collect(),
        toml::Value::Table(one) => vec![one.clone()],
        _ => vec![],
    };
    root.iter().map(|(key, value)| (key.clone(), tables(value))).collect()
}

/// A document: per table how many comment lines above, whether a blank line, which keys.
fn written() -> impl Strategy<Value = Vec<(usize, bool, u8, bool)>> {
    prop::collection::vec((0..3usize, any::<bool>(), any::<u8>(), any::<bool>()), 0..6)
}

fn document(tables: &[(usize, bool, u8, bool)]) -> String {
    let mut text = String::from("# top\n");
    for (n, (comments, blank, keys, is_user)) in tables.iter().enumerate() {
        if *blank {
            text.push('\n');
        }
        (0..*comments).for_each(|line| text += &format!("# above {n}.{line}\n"));
        text += if *is_user { "[[user]]\n" } else { "[[send_connector]]\n" };
        text += &format!("name = \"n{n}\" # of {n}\n");
        let keys = |all: &[&str]| {
            let some = all.iter().enumerate().filter(|(bit, _)| keys >> bit & 1 == 1);
            some.map(|(_, line)| format!("{} # in {n}\n", line.replace("# x", &format!("# in {n}"))))
                .collect::<String>()
        };
        text += &match is_user {
            true => keys(&["password = \"p\"", "may_send_as = [\n  \"[[user]]\", # x\n]"]),
            false => keys(&["cost = 3", "mx = true", "domains = [\"a\"]", "port = 26"]),
        };
    }
    text
}

proptest! {
    /// Against the same change made to plain data; and every line of every other table is where it was.
    #[test]
    fn an_edit_changes_its_object_and_nothing_else(tables in written(), at in 0..6usize, what in 0..4usize, number in 1..99u64) {
        let text = document(&tables);
        let users = tables.get(at).is_some_and(|table| table.3);
        let word = if users { "user" } else { "send_connector" };
        let name = format!("n{at}");
        let key = if users { "may_send_as" } else { "cost" };
        let value = if users { Value::Texts(vec![number.to_string()]) } else { Value::Number(number) };
        let as_data: toml::Value = if users { vec![number.to_string()].into() } else { (number as i64).into() };
        let verb = [Verb::Set, Verb::Set, Verb::Remove, Verb::New][what];
        let mut asked = change(word, verb, &name);
        match what {
            0 | 3 => asked.set = vec![(key.into(), value)],
            1 => asked.unset = vec![key.into()],
            _ => {}
        }
        let mut wanted = model(&text);
        let mine = wanted.entry(word.into()).or_default();
        let place = mine.iter().position(|table| table["name"].as_str() == Some(&name));
        let done = edited(&text, &asked);
        match (what, place) {
            (0, Some(place)) => _ = mine[place].insert(key.into(), as_data),
            (1, Some(place)) => _ = mine[place].remove(key),
            (2, Some(place)) => _ = mine.remove(place),
            (3, None) => mine.push(toml::Table::from_iter([("name".into(), name.clone().into()), (key.to_string(), as_data)])),
            _ => { prop_assert!(done.is_err()); return Ok(()); }
        }
        wanted.retain(|_, tables| !tables.is_empty());
        let done = done.unwrap();
        prop_assert_eq!(model(&done), wanted, "{}", done);
        let others = |text: &str| -> Vec<String> {
            let own = [format!("# in {at}"), format!("# of {at}"), format!("# above {at}.")];
            let is_other = |line: &&str| line.contains("# ") && !own.iter().any(|own| line.contains(own.as_str()));
            text.lines().filter(is_other).map(String::from).collect()
        };
        prop_assert_eq!(others(&done), others(&text), "{}", done);
        if what != 2 {
            let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
            prop_assert_eq!(comments(&done), comments(&text));
        }
    }
}
