//! `documents.txt`: documents and, to the letter, what an operator is told about each.
#![allow(clippy::unwrap_used)] // a test says so by failing

mod common;

use common::load;

const GOOD_ORG: &str = "[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n";

#[test]
fn every_document_is_told_about_to_the_letter() {
    let cases = include_str!("documents.txt").split("====\n");
    let (mut wrong, mut count) = (String::new(), 0);
    for case in cases {
        let (document, expected) = case.split_once("----\n").expect("a document, ----, lines");
        let document: String = document.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        let result = match document.strip_prefix("NODE\n") {
            Some(node) => load(Some(node), GOOD_ORG),
            None => load(None, &document),
        };
        let told = match result {
            Ok(loaded) => format!("WARNINGS\n{}", loaded.warnings),
            Err(problems) => problems.to_string(),
        };
        count += 1;
        if told.trim_end() != expected.trim_end() {
            wrong.push_str(&format!("{document}---- expected\n{expected}---- told\n{told}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 25, "{count} documents only");
}
