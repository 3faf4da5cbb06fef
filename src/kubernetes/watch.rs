//! One resource: listed once, watched from then on, listed again only where the watch cannot go on.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use futures::AsyncBufRead;
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::Request;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use svcnat_rules::name::ObjectName;

use super::client::{Connection, Current};
use super::events::{Event, Events};
use super::failure::{Cause, Failure, Position, Since};
use super::handle::Handle;
use super::kinds::{Kind, Outbox};
use super::ledger::Ledger;
use super::list::{ListMetadata, Splitter};
use super::object::{Item, Version};
use super::outlet::Share;
use super::silence::Silence;
use crate::convert::printable;

/// Marks the end of a streaming list (`metav1.InitialEventsAnnotationKey`).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
/// The server ends a watch after this many seconds, and a random part of the spread more, so that the watches of all
/// nodes do not come back together. The API server's own default is between 1,800 and 3,600; proxies are less patient.
const WATCH_SECONDS: u64 = 240;
const WATCH_SECONDS_SPREAD: u64 = 50;
/// A watch that ends sooner than this has not been one.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Why a watch does not go on.
#[derive(Debug)]
pub(super) enum End {
    /// The receiver of news is gone.
    Closed,
    /// The server refused the first list with this status, one of those that were asked to be told.
    Refused(u16),
}

/// The watch of one resource.
pub(super) struct Watch<K: Kind> {
    pub kind: K,
    pub ledger: Ledger<K::Told>,
    pub share: Share,
    /// When the latest list was begun.
    list_began: Instant,
    connection: Connection,
    handle: Handle,
    request: Request,
    position: Position,
    /// Whether the server is still believed to grant streaming lists.
    streaming: bool,
    /// Why steps failed since the last one that succeeded, each cause once: the next success is worth a line then.
    failing: Vec<Cause>,
    /// Since when the present watch is open.
    open: Option<tokio::time::Instant>,
    backoff: DefaultBackoff,
    /// Whether the waits began anew for a list since a watch last lasted.
    hurried: bool,
    silence: Silence,
    /// What is wrong with the objects that cannot be understood.
    problems: HashMap<ObjectName, String>,
    out: Outbox,
}

impl<K: Kind> Watch<K> {
    pub fn new(kind: K, connection: Connection, share: Share, handle: Handle) -> Self {
        Self {
            kind,
            ledger: Ledger::new(),
            share,
            list_began: Instant::now(),
            connection,
            handle,
            request: Request::new(K::PATH),
            position: Position::List { since: Since::Any, streaming: true },
            streaming: true,
            failing: Vec::new(),
            open: None,
            backoff: DefaultBackoff::default(),
            hurried: false,
            silence: Silence::default(),
            problems: HashMap::new(),
            out: Outbox::new(),
        }
    }

    /// Lists and watches until nobody wants the news, or until the first list is refused with one of these statuses.
    pub async fn run(&mut self, optional: &[u16]) -> End {
        loop {
            let current = self.connection.current();
            let ended = self.step(&current).await;
            self.handle.connected(K::RESOURCE, false);
            let lasted = self.open.map(|since| since.elapsed() >= AT_ONCE);
            if lasted == Some(true) {
                self.backoff.reset();
                self.hurried = false;
            }
            let silent = matches!(ended, Err(Failure::Silent | Failure::Idle(_)));
            if !silent && (ended.is_err() || lasted.is_some()) {
                self.silence = Silence::default();
            }
            let failure = match ended {
                // The server ends a watch that is old enough, and a plain list ends by itself.
                Ok(()) if lasted != Some(false) => continue,
                Ok(()) => Failure::EndedAtOnce,
                Err(Failure::Silent) if !self.silence.leads_to_list() => {
                    tracing::debug!(resource = K::RESOURCE.name(), "silent, as before: watching on");
                    continue;
                }
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Closed) {
                return End::Closed;
            }
            if let Some(code) = failure.code()
                && self.handle.status(K::RESOURCE).lists == 0
                && optional.contains(&code)
            {
                return End::Refused(code);
            }
            self.recover(&failure, current.generation).await;
        }
    }

    /// Decides where to go on after a failure, and waits as long as it takes for the server to recover.
    async fn recover(&mut self, failure: &Failure, generation: u64) {
        let before = self.position.clone();
        self.position = before.clone().after(failure, self.streaming);
        if let (Position::List { streaming: true, .. }, Position::List { streaming: false, .. }) =
            (&before, &self.position)
        {
            tracing::debug!(resource = K::RESOURCE.name(), %failure, "streaming lists are refused: listing plainly");
            self.streaming = false;
            return;
        }
        // Who answers that a list is needed is there, so the waits that grew in its absence are over. Once only until a watch
        // lasts: a list costs a server as much as the cluster is large.
        let to_list = matches!((&before, &self.position), (Position::Watch(_), Position::List { .. }));
        if to_list && failure.code().is_some() && !std::mem::replace(&mut self.hurried, true) {
            self.backoff.reset();
        }
        self.handle.failed(K::RESOURCE);
        let cause = failure.cause();
        if self.failing.contains(&cause) {
            tracing::debug!(resource = K::RESOURCE.name(), %failure, "still not connected");
        } else {
            self.failing.push(cause);
            tracing::warn!(
                resource = K::RESOURCE.name(),
                "cannot follow {}: {failure}; what is known of them stays in force, and it is tried again",
                K::RESOURCE.name()
            );
        }
        if failure.is_of_credentials()
            && let Err(error) = self.connection.renew(generation).await
        {
            tracing::warn!("cannot renew the credentials for the API server: {error}");
        }
        let wait = self.backoff.next().unwrap_or(AT_ONCE);
        tokio::time::sleep(failure.retry_after().map_or(wait, |asked| asked + wait / 4)).await;
    }

    async fn step(&mut self, current: &Current) -> Result<(), Failure> {
        self.open = None;
        match self.position.clone() {
            Position::List { since, streaming } => {
                self.begin_list(&since);
                match streaming {
                    true => self.watch(current, since.as_parameter(), Some(&since)).await,
                    false => self.list(current, &since).await,
                }
            }
            Position::Watch(version) => self.watch(current, &version, None).await,
        }
    }

    pub fn begin_list(&mut self, since: &Since) {
        self.list_began = Instant::now();
        self.ledger.begin_list(*since == Since::Latest);
    }

    async fn list(&mut self, current: &Current, since: &Since) -> Result<(), Failure> {
        let (resource_version, version_match) = match since {
            Since::Latest => (None, None),
            _ => (Some(since.as_parameter().to_owned()), Some(VersionMatch::NotOlderThan)),
        };
        // Without a limit, which would lead a server past its cache to its storage.
        let mut params = ListParams {
            label_selector: self.kind.labels(),
            field_selector: self.kind.fields(),
            resource_version,
            version_match,
            ..ListParams::default()
        };
        loop {
            let metadata = self.page(current, &params).await?;
            let Some(token) = metadata.r#continue.filter(|token| !token.is_empty()) else {
                return self.listed(metadata.resource_version.unwrap_or_default(), since).await;
            };
            // The token says of which state the next page is.
            (params.resource_version, params.version_match) = (None, None);
            params.continue_token = Some(token);
        }
    }

    /// Reads a list, or the next part of one from a server that sends it in parts of its own accord.
    async fn page(&mut self, current: &Current, params: &ListParams) -> Result<ListMetadata, Failure> {
        let request = self.request.list(params).map_err(kube::Error::BuildRequest)?;
        let mut answer = current.stream(request).await?;
        let mut splitter = Splitter::default();
        loop {
            let mut bytes = answer.bytes().await.map_err(Failure::Read)?;
            let (read, length) = (Instant::now(), bytes.len());
            if length == 0 {
                return splitter.finish().map_err(Failure::List);
            }
            while splitter.advance(&mut bytes) {
                let item = splitter.item(|text| Item::parse(text, read));
                self.take(item, Said::Listed).await?;
            }
            answer.consume(length);
        }
    }

    /// Watches from a version on. Where it begins with a streaming list, `listing` says of which state.
    async fn watch(
        &mut self,
        current: &Current,
        version: &str,
        listing: Option<&Since>,
    ) -> Result<(), Failure> {
        let spread = RandomState::new().hash_one(version) % WATCH_SECONDS_SPREAD;
        let params = WatchParams {
            label_selector: self.kind.labels(),
            field_selector: self.kind.fields(),
            timeout: u32::try_from(WATCH_SECONDS + spread).ok(),
            bookmarks: true,
            send_initial_events: listing.is_some(),
        };
        let request = self.request.watch(&params, version).map_err(kube::Error::BuildRequest)?;
        let answer = current.stream(request).await?;
        if listing.is_none() {
            self.opened();
        }
        self.follow(Events::new(answer), listing).await
    }

    /// Takes the events of a watch, or of a streaming list and the watch that it goes on as.
    pub async fn follow(
        &mut self,
        mut events: Events<impl AsyncBufRead + Unpin>,
        mut listing: Option<&Since>,
    ) -> Result<(), Failure> {
        let mut heard = false;
        loop {
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(failure) if !heard && self.is_long_open() => {
                    if !matches!(failure, Failure::Idle(_)) {
                        // It may be another server that answers next.
                        self.silence = Silence::default();
                    }
                    return Err(Failure::Silent);
                }
                Err(failure) => return Err(failure),
            };
            heard = true;
            if listing.is_none() {
                self.silence = Silence::default();
            }
            match event {
                Event::Changed(item) => {
                    self.take(item, if listing.is_some() { Said::Listed } else { Said::Changed }).await?;
                }
                Event::Deleted(item) => self.take(item, Said::Deleted).await?,
                Event::Error(status) => return Err(Failure::Status(status)),
                Event::Bookmark(bookmark) => {
                    self.handle.heard(K::RESOURCE, Instant::now());
                    let ends_list = bookmark.metadata.annotations.contains_key(INITIAL_EVENTS_END);
                    let version = bookmark.metadata.resource_version;
                    match listing.take() {
                        Some(since) if ends_list => {
                            self.listed(version, since).await?;
                            self.opened();
                        }
                        Some(_) => return Err(Failure::NotStreaming),
                        None => self.advance(version),
                    }
                }
            }
        }
        if listing.is_some() { Err(Failure::CutShort) } else { Ok(()) }
    }

    /// A list is complete.
    async fn listed(&mut self, version: String, since: &Since) -> Result<(), Failure> {
        if let Since::NotOlderThan(least) = since
            && Version::new(&version).is_older_than(&Version::new(least))
        {
            return Err(Failure::WentBack);
        }
        self.out.read = Instant::now();
        self.out.triggered = None;
        for (name, told) in self.ledger.end_list() {
            self.problems.remove(&name);
            self.kind.gone(&name, told, &mut self.out);
        }
        self.kind.settle(&mut self.out);
        self.tell().await?;
        self.handle.objects(K::RESOURCE, self.ledger.len());
        self.handle.listed(K::RESOURCE);
        let (count, resource, took) = (self.ledger.len(), K::RESOURCE.name(), self.list_began.elapsed());
        tracing::info!("{count} {resource} listed in {took:.1?}");
        self.position = Position::Watch(version);
        self.share.complete().await
    }

    /// Takes what a list or a watch says of one object.
    async fn take(&mut self, item: Item<K::Object>, said: Said) -> Result<(), Failure> {
        self.handle.heard(K::RESOURCE, item.read);
        let Item { read, name, version, triggered, content } = item;
        let Some(name) = name else {
            self.handle.malformed(K::RESOURCE);
            let reason = content.err().unwrap_or_else(|| "metadata.name: is required".to_owned());
            let resource = K::RESOURCE.name();
            tracing::warn!(
                "an object among {resource} cannot be understood and is left out: {}",
                printable(&reason)
            );
            return Ok(());
        };
        let number = Version::new(&version);
        if said != Said::Listed {
            self.advance(version);
        }
        (self.out.read, self.out.triggered) = (read, triggered);
        let told = match said {
            Said::Listed => self.ledger.listed(&name, number),
            Said::Changed => self.ledger.changed(&name, number),
            Said::Deleted => {
                self.problems.remove(&name);
                if let Some(told) = self.ledger.deleted(&name, number) {
                    self.kind.gone(&name, told, &mut self.out);
                }
                None
            }
        };
        if let Some(told) = told {
            let (object, problem) = match content {
                Ok(object) => (Some(object), None),
                Err(problem) => (None, Some(problem)),
            };
            let invalid = self.kind.apply(&name, object, told, &mut self.out).err();
            match problem.or_else(|| invalid.map(|invalid| invalid.to_string())) {
                Some(problem) => self.tell_of_problem(name, problem),
                None => drop(self.problems.remove(&name)),
            }
        }
        if said != Said::Listed {
            self.kind.settle(&mut self.out);
            self.handle.objects(K::RESOURCE, self.ledger.len());
        }
        self.tell().await
    }

    /// Says what is wrong with an object, once until something else is.
    fn tell_of_problem(&mut self, name: ObjectName, problem: String) {
        self.handle.malformed(K::RESOURCE);
        if self.problems.get(&name) != Some(&problem) {
            let resource = K::RESOURCE.name();
            let (shown, why) = (printable(name.as_str()), printable(&problem));
            tracing::warn!("{shown} among {resource} cannot be understood and is left out: {why}");
            self.problems.insert(name, problem);
        }
    }

    async fn tell(&mut self) -> Result<(), Failure> {
        for news in self.out.news.drain(..) {
            self.share.tell(news).await?;
        }
        Ok(())
    }

    /// The watch has come to this version. Where events come in another order, it stays at the latest.
    fn advance(&mut self, version: String) {
        if let Position::Watch(at) = &mut self.position
            && !version.is_empty()
            && !Version::new(&version).is_older_than(&Version::new(at))
        {
            *at = version;
        }
    }

    /// Whether the present watch has been open for as long as connections may be idle, give or take what it took to
    /// notice.
    fn is_long_open(&self) -> bool {
        self.open.is_some_and(|since| since.elapsed() >= self.connection.idle() / 2)
    }

    /// A watch is open.
    fn opened(&mut self) {
        self.open = Some(tokio::time::Instant::now());
        self.handle.connected(K::RESOURCE, true);
        if !std::mem::take(&mut self.failing).is_empty() {
            tracing::info!("following {} again", K::RESOURCE.name());
        }
    }
}

/// How an object came to be mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// In a list.
    Listed,
    /// In a watch, as new or different.
    Changed,
    /// In a watch, as deleted.
    Deleted,
}
