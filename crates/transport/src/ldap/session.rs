//! What is asked of a directory on one connection: entries, a user, whether a password is right.

use super::link::{Link, Trouble};
use crate::tls_client::TlsClient;
use directory::ldap::wire::{self, Answer, Done, Search};
use directory::ldap::{Directory, Filter, Found, Logon, Server, rest_of_range};

/// A connection on which we are bound as the document says.
pub struct Session<'d> {
    link: Link,
    directory: &'d Directory,
}

/// What became of a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The password is right.
    Yes,
    /// It is wrong, or the account may not be used.
    No,
}

impl<'d> Session<'d> {
    /// Connects to a server and binds.
    pub async fn open(tls: &TlsClient, directory: &'d Directory, server: &Server) -> Result<Session<'d>, Trouble> {
        let mut session = Session { link: Link::open(tls, directory, server).await?, directory };
        if let Some(own) = &directory.bind {
            match session.bind(&own.username, own.password.as_bytes()).await? {
                Bound::Yes => {}
                Bound::No => {
                    return Err(Trouble(format!("it does not let us bind as {}; look at password_file", own.username)));
                }
            }
        }
        Ok(session)
    }

    /// Gives all entries that fit to `each`, page by page. Says how many there were.
    pub async fn search(
        &mut self,
        filter: &Filter,
        each: &mut (dyn FnMut(Found) -> Result<(), Trouble> + Send),
    ) -> Result<usize, Trouble> {
        let wanted = self.directory.wanted();
        let (mut mark, mut count, mut in_pieces) = (Vec::new(), 0, Vec::new());
        let mut empty_pages = 0;
        loop {
            let before = count;
            let page = Some((self.directory.page_size, &mark[..]));
            let search =
                Search { base: &self.directory.base, below: true, filter, attributes: &wanted, entries_max: 0, page };
            self.link.send(|id| wire::search(id, &search)).await?;
            let done = loop {
                match self.link.next().await? {
                    Answer::Entry(found) => {
                        count += 1;
                        match rest_of_range(&found) {
                            None => each(found)?,
                            Some(_) => in_pieces.push(found),
                        }
                    }
                    Answer::Reference => {}
                    Answer::Done(done) => break done,
                }
            };
            if done.code != 0 {
                return Err(refused("search", &done));
            }
            if done.mark.is_empty() {
                break;
            }
            mark = done.mark;
            empty_pages += u32::from(before == count);
            if empty_pages > EMPTY_PAGES_MAX {
                return Err(Trouble("it goes on and on sending empty pages".into()));
            }
        }
        for found in in_pieces {
            let whole = self.whole(found).await?;
            each(whole)?;
        }
        Ok(count)
    }

    /// An entry with all pieces of its long lists.
    async fn whole(&mut self, mut found: Found) -> Result<Found, Trouble> {
        let everything = Filter::Present("objectClass".into());
        for _ in 0..PIECES_MAX {
            let Some(next) = rest_of_range(&found) else { break };
            // The piece that is there already must not be asked for again.
            for (name, _) in &mut found.attributes {
                name.truncate(name.split(';').next().unwrap_or_default().len());
            }
            let attributes = [&*next];
            let search = Search {
                base: &found.dn,
                below: false,
                filter: &everything,
                attributes: &attributes,
                entries_max: 1,
                page: None,
            };
            self.link.send(|id| wire::search(id, &search)).await?;
            loop {
                match self.link.next().await? {
                    Answer::Entry(piece) => found.attributes.extend(piece.attributes),
                    Answer::Reference => {}
                    Answer::Done(done) if done.code == 0 => break,
                    Answer::Done(done) => return Err(refused("search", &done)),
                }
            }
        }
        Ok(found)
    }

    /// The entry of the user who goes by this name; nobody, if several do.
    pub async fn user(&mut self, logon: &Logon, name: &str) -> Result<Option<Found>, Trouble> {
        let filter = self.directory.user_filter(logon, name);
        let wanted = self.directory.wanted();
        let search = Search {
            base: &self.directory.base,
            below: true,
            filter: &filter,
            attributes: &wanted,
            entries_max: 2,
            page: None,
        };
        self.link.send(|id| wire::search(id, &search)).await?;
        let mut all = Vec::new();
        let done = loop {
            match self.link.next().await? {
                Answer::Entry(found) if all.len() < 2 => all.push(found),
                Answer::Entry(_) | Answer::Reference => {}
                Answer::Done(done) => break done,
            }
        };
        match done.code {
            0 | SIZE_LIMIT => Ok(all.pop().filter(|_| all.is_empty())),
            _ => Err(refused("search", &done)),
        }
    }

    /// Binds as somebody. An empty password would be taken for an anonymous bind, which succeeds: it is wrong (RFC 4513 5.1.2).
    pub async fn bind(&mut self, dn: &str, password: &[u8]) -> Result<Bound, Trouble> {
        if password.is_empty() || dn.is_empty() {
            return Ok(Bound::No);
        }
        self.link.send(|id| wire::bind(id, dn, password)).await?;
        let done = self.link.done().await?;
        match done.code {
            0 => Ok(Bound::Yes),
            code if NO.contains(&code) => Ok(Bound::No),
            _ => Err(refused("bind", &done)),
        }
    }

    /// Says good-bye.
    pub async fn close(mut self) {
        // The server sees the end anyway.
        let _ = self.link.send(wire::unbind).await;
    }
}

fn refused(what: &str, done: &Done) -> Trouble {
    let hint = match done.code {
        SIZE_LIMIT => ": it gives no more entries than its size limit; let bind_dn read all of them",
        NO_OBJECT => ": there is no such base, or bind_dn may not see it",
        NO_ACCESS => ": bind_dn may not read there",
        13 => ": it wants TLS",
        _ => "",
    };
    let said: String = done.text.chars().filter(|c| !c.is_control()).take(200).collect();
    Trouble(format!(
        "it refused the {what} with code {}{hint}{}{said}",
        done.code,
        if said.is_empty() { "" } else { ": " }
    ))
}

/// RFC 4511 4.1.9: constraint violation (locked), no such object, inappropriate authentication, invalid credentials, insufficient
/// access, unwilling to perform (disabled).
const NO: [i64; 6] = [19, NO_OBJECT, 48, 49, NO_ACCESS, 53];
/// Pages without entries in one answer.
const EMPTY_PAGES_MAX: u32 = 1_000;
/// Pieces of a long list; one has 1,500 values.
const PIECES_MAX: usize = 1_000;
const SIZE_LIMIT: i64 = 4;
const NO_OBJECT: i64 = 32;
const NO_ACCESS: i64 = 50;
