//! Owns the driver that keeps a consumer in step with a prefix through restarts, leader changes, compaction and cuts.
//! Knows no meaning of keys. Always holds: the first thing told is the whole state; after each gap that cannot be filled the
//! whole state is told again; at most [`NEWS_MAX`] pieces of news wait for a slow consumer.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use world::Chance;

use super::calls::Whole;
use super::client::Client;
use super::error::Error;
use super::resume::{Look, Next, Resume};
use super::watch::{Change, Watch};

/// What a follower is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This is everything now; what was known before no longer counts.
    Whole(Whole),
    /// This changed, in order.
    Changed(Vec<Change>),
    /// etcd does not answer; what is known may be old. Told once until it answers again.
    Silent(Error),
    /// etcd answers again, and nothing was missed.
    Back,
}

/// News of a prefix. Following ends when it is dropped.
pub struct Follower {
    news: mpsc::Receiver<News>,
}

impl Follower {
    /// Begins to follow all keys under `prefix`. `look_ms`: how often a silent watch is checked against etcd's revision.
    pub fn start(client: Client, prefix: String, look_ms: u64, chance: Arc<dyn Chance>) -> Follower {
        let (to, news) = mpsc::channel(NEWS_MAX);
        let driver = Driver { client, prefix, look: Duration::from_millis(look_ms), chance, to, silent: false };
        tokio::spawn(async move {
            // Ends when nobody listens any more.
            let _ = driver.run().await;
        });
        Follower { news }
    }

    /// The next piece of news. Safe to be dropped and called again.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

struct Driver {
    client: Client,
    prefix: String,
    look: Duration,
    chance: Arc<dyn Chance>,
    to: mpsc::Sender<News>,
    /// Whether the consumer believes that etcd is silent.
    silent: bool,
}

/// The consumer is gone.
struct Unheard;

impl Driver {
    async fn run(mut self) -> Result<(), Unheard> {
        let mut resume = Resume::default();
        loop {
            let wait = Duration::from_millis(resume.wait_ms(self.chance.u64()));
            tokio::select! {
                () = sleep(wait) => {}
                () = self.to.closed() => return Err(Unheard),
            }
            let ended = match resume.next() {
                Next::Read => self.read(&mut resume).await?,
                Next::Watch(from) => match Watch::open(&self.client, &self.prefix, from).await {
                    Ok(watch) => self.watch(watch, &mut resume).await?,
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = ended {
                resume.failed(&error);
                // A gap is mended by a read; only a failure that lasts makes the consumer's knowledge old.
                if !matches!(error, Error::Compacted { .. }) && !self.silent && resume.lasts() {
                    self.tell_silence(error).await?;
                }
            }
        }
    }

    async fn read(&mut self, resume: &mut Resume) -> Result<Result<(), Error>, Unheard> {
        let whole = match self.client.read_prefix(&self.prefix).await {
            Ok(whole) => whole,
            Err(error) => return Ok(Err(error)),
        };
        resume.read(whole.at);
        self.silent = false;
        self.tell(News::Whole(whole)).await?;
        Ok(Ok(()))
    }

    /// Listens until the watch breaks or is doubted.
    async fn watch(&mut self, mut watch: Watch, resume: &mut Resume) -> Result<Result<(), Error>, Unheard> {
        loop {
            let heard = tokio::select! {
                heard = timeout(self.look, watch.next()) => heard,
                () = self.to.closed() => return Err(Unheard),
            };
            match heard {
                Ok(Ok(heard)) => {
                    let changes = resume.heard(heard);
                    self.tell_back().await?;
                    if !changes.is_empty() {
                        self.tell(News::Changed(changes)).await?;
                    }
                }
                Ok(Err(error)) => {
                    if error.token_is_stale() {
                        self.client.forget_token(None);
                    }
                    if error.later() {
                        self.client.leave(watch.at);
                    }
                    return Ok(Err(error));
                }
                // Silence. The endpoint must prove that it is alive and in touch with its leader.
                Err(_) => match self.client.revision_at(watch.at, &self.prefix).await {
                    Ok(at) => match resume.looked(at) {
                        Look::Fine => self.tell_back().await?,
                        Look::OpenAnew | Look::WentBack => return Ok(Ok(())),
                    },
                    Err(error) => {
                        self.client.leave(watch.at);
                        return Ok(Err(error));
                    }
                },
            }
        }
    }

    async fn tell_silence(&mut self, error: Error) -> Result<(), Unheard> {
        self.silent = true;
        self.tell(News::Silent(error)).await
    }

    async fn tell_back(&mut self) -> Result<(), Unheard> {
        if !std::mem::replace(&mut self.silent, false) {
            return Ok(());
        }
        self.tell(News::Back).await
    }

    async fn tell(&self, news: News) -> Result<(), Unheard> {
        self.to.send(news).await.map_err(|_| Unheard)
    }
}

/// Pieces of news that wait for a slow consumer; then the watch waits, and etcd keeps what follows.
const NEWS_MAX: usize = 64;
