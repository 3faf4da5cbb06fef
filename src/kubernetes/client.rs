//! The connection to the API server: where it is, who we are, how fast we may ask.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::AsyncBufRead;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response};
use kube::client::{ClientBuilder, DynBody};
use kube::config::{Config, InClusterError, Kubeconfig, KubeconfigError};
use tokio::time::timeout;
use tower::BoxError;
use tower::limit::RateLimitLayer;
use tower::util::MapResultLayer;

use super::answer::Answer;
use super::failure::{Busy, Failure, chain};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// `clientConnection.qps` and `burst` where they are 0, as for kube-proxy.
const QPS: f32 = 5.0;
const BURST: u32 = 10;

/// How to reach the API server: kube-proxy's `clientConnection` and `--master`.
///
/// Its `contentType` and `acceptContentTypes` have no counterpart: JSON is what is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSettings {
    /// `clientConnection.kubeconfig`. Without it and without `master`, the service account of the pod is used.
    pub kubeconfig: Option<PathBuf>,
    /// `--master`: the server's URL, which overrides the one in the kubeconfig.
    pub master: Option<String>,
    /// `clientConnection.qps`: requests per second in the long run; 0 means 5, a negative number no limit.
    pub qps: f32,
    /// `clientConnection.burst`: how many requests may be made at once; 0 means 10.
    pub burst: u32,
    /// How long a connection on which an answer is due, or a watch open, may stay without a byte before it is given up.
    /// Servers send a bookmark about once a minute.
    pub idle: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { kubeconfig: None, master: None, qps: 0.0, burst: 0, idle: Duration::from_secs(90) }
    }
}

/// Why there is no client for the API server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {}: {}; see `clientConnection.kubeconfig` (--kubeconfig)", path.display(), chain(source))]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// No kubeconfig, no URL, no service account.
    #[error(
        "there is no API server to ask: {}; outside a pod, give --kubeconfig or --master",
        chain(.0)
    )]
    InCluster(InClusterError),
    /// `--master` is no URL.
    #[error("--master \"{url}\" is not a URL such as https://10.0.0.1:6443")]
    Master {
        /// What was given.
        url: String,
    },
    /// Certificates, keys or credentials cannot be used.
    #[error("cannot set up the connection to the API server: {}; check the certificates and the credentials", chain(.0.as_ref()))]
    Build(Box<kube::Error>),
    /// The task that reads the files broke down.
    #[error("reading the credentials for the API server broke off")]
    Interrupted,
}

/// A client that can be renewed. Cloning gives another handle to the same.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    settings: ClientSettings,
    current: RwLock<Current>,
    /// Held by whoever renews the client.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
pub(super) struct Current {
    pub client: kube::Client,
    /// Counts renewals.
    pub generation: u64,
    idle: Duration,
}

impl Current {
    /// Asks for something that is read as it comes.
    pub async fn stream(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Answer<impl AsyncBufRead + Unpin + use<>>, Failure> {
        let body = self.patiently(self.client.request_stream(request)).await?;
        Ok(Answer::new(Box::pin(body), self.idle))
    }

    /// Waits for an answer, but no longer than a connection may be idle.
    pub async fn patiently<T>(&self, answer: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let answer = timeout(self.idle, answer).await.map_err(|_| Failure::NoAnswer(self.idle))?;
        answer.map_err(Failure::from)
    }
}

impl Connection {
    /// Reads the configuration and the credentials. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// A kubeconfig, a service account, certificates or a URL that cannot be used.
    pub async fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let client = build_aside(settings.clone()).await?;
        let current = RwLock::new(Current { client, generation: 0, idle: settings.idle });
        Ok(Self(Arc::new(Inner { settings, current, renewing: tokio::sync::Mutex::default() })))
    }

    /// See [`ClientSettings::idle`].
    pub(super) fn idle(&self) -> Duration {
        self.0.settings.idle
    }

    pub(super) fn current(&self) -> Current {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the configuration and the credentials again, unless that has happened since `generation`.
    ///
    /// `kube` reads a token file again once a minute by itself; this is for what it keeps for good: tokens and client
    /// certificates in kubeconfig files and in the files that those name, and tokens of files that end in a line feed.
    pub(super) async fn renew(&self, generation: u64) -> Result<(), ClientError> {
        let _renewing = self.0.renewing.lock().await;
        if self.current().generation != generation {
            return Ok(());
        }
        let client = build_aside(self.0.settings.clone()).await?;
        let renewed = Current { client, generation: generation.wrapping_add(1), idle: self.idle() };
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }
}

/// Files are read, and credential plugins run, outside the threads that serve everything else.
async fn build_aside(settings: ClientSettings) -> Result<kube::Client, ClientError> {
    tokio::task::spawn_blocking(move || build(&settings)).await.map_err(|_| ClientError::Interrupted)?
}

fn build(settings: &ClientSettings) -> Result<kube::Client, ClientError> {
    let mut config = config(settings)?;
    config.connect_timeout = Some(CONNECT);
    // `Current` watches the time, at a lower price.
    config.read_timeout = None;
    // Each watch backs off in its own way, and says so.
    config.default_retry = false;
    config.headers.push((USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE)));
    let builder = ClientBuilder::try_from(config).map_err(|error| ClientError::Build(Box::new(error)))?;
    let builder = builder.with_layer(&MapResultLayer::new(busy));
    Ok(match rate(settings) {
        Some(rate) => builder.with_layer(&rate).build(),
        None => builder.build(),
    })
}

const USER_AGENT_VALUE: &str = concat!("svcnat/", env!("CARGO_PKG_VERSION"));

fn config(settings: &ClientSettings) -> Result<Config, ClientError> {
    let master = settings.master.as_ref().filter(|url| !url.is_empty());
    let master = master.map(|url| master_url(url)).transpose()?;
    match (&settings.kubeconfig, master) {
        (Some(path), master) => {
            let mut config = from_kubeconfig(path)
                .map_err(|source| ClientError::Kubeconfig { path: path.clone(), source })?;
            if let Some(url) = master {
                config.cluster_url = url;
            }
            Ok(config)
        }
        (None, Some(url)) => Ok(Config::new(url)),
        (None, None) => Config::incluster().map_err(ClientError::InCluster),
    }
}

fn from_kubeconfig(path: &Path) -> Result<Config, KubeconfigError> {
    let mut config = Config::try_from(Kubeconfig::read_from(path)?)?;
    // `kube` sends the file as it is, and a line feed at its end, as editors and shells leave it, is in no header. Such a file
    // is read here, and again when the server refuses the token.
    let file = config.auth_info.token_file.as_ref().filter(|_| config.auth_info.token.is_none());
    let token = file.and_then(|file| std::fs::read_to_string(file).ok());
    if let Some(token) = token.filter(|token| token.trim() != token) {
        config.auth_info.token = Some(token.trim().into());
    }
    Ok(config)
}

/// A URL; without a scheme it is `http`, as kube-proxy reads it.
fn master_url(url: &str) -> Result<http::Uri, ClientError> {
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let parsed = whole.parse::<http::Uri>().ok().filter(|parsed| parsed.host().is_some());
    parsed.ok_or_else(|| ClientError::Master { url: url.to_owned() })
}

/// A burst at once, and over the time that the burst is worth no more than that.
fn rate(settings: &ClientSettings) -> Option<RateLimitLayer> {
    let qps = if settings.qps == 0.0 { QPS } else { settings.qps };
    let burst = if settings.burst == 0 { BURST } else { settings.burst };
    let window = Duration::try_from_secs_f64(f64::from(burst) / f64::from(qps)).ok()?;
    (qps > 0.0 && !window.is_zero()).then(|| RateLimitLayer::new(burst.into(), window))
}

/// Makes an error of an answer that says when to come back, since `kube` gives no access to headers of errors.
fn busy(result: Result<Response<Box<DynBody>>, BoxError>) -> Result<Response<Box<DynBody>>, BoxError> {
    let response = result?;
    let code = response.status().as_u16();
    let after = response.headers().get(RETRY_AFTER).filter(|_| matches!(code, 429 | 503));
    match after.and_then(|after| after.to_str().ok()?.parse().ok()) {
        Some(seconds) => Err(Busy { code, after: Duration::from_secs(seconds) }.into()),
        None => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, current-context: a, \
        contexts: [{name: a, context: {cluster: c, user: u}}], \
        clusters: [{name: c, cluster: {server: \"https://10.0.0.1:6443\"}}], \
        users: [{name: u, user: {token: secret}}]}";

    fn settings(kubeconfig: Option<&Path>, master: Option<&str>) -> ClientSettings {
        ClientSettings {
            kubeconfig: kubeconfig.map(Path::to_owned),
            master: master.map(str::to_owned),
            ..ClientSettings::default()
        }
    }

    #[test]
    fn the_server_is_the_masters_then_the_kubeconfigs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, KUBECONFIG).unwrap();
        let check = |kubeconfig: Option<&Path>, master: Option<&str>, expected: &str, authorized: bool| {
            let config = config(&settings(kubeconfig, master)).unwrap();
            assert_eq!(config.cluster_url.to_string(), expected);
            assert_eq!(config.auth_info.token.is_some(), authorized);
        };
        check(Some(&file), None, "https://10.0.0.1:6443/", true);
        check(Some(&file), Some(""), "https://10.0.0.1:6443/", true);
        check(Some(&file), Some("https://[fd00::1]:443"), "https://[fd00::1]:443/", true);
        check(None, Some("10.0.0.2:8080"), "http://10.0.0.2:8080/", false);
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let check = |kubeconfig: Option<&Path>, master: Option<&str>, expected: &[&str]| {
            let error = build(&settings(kubeconfig, master)).err().unwrap().to_string();
            for part in expected {
                assert!(error.contains(part), "{error}");
            }
        };
        check(Some(&file), None, &["cannot use the kubeconfig", "kubeconfig: ", "--kubeconfig"]);
        std::fs::write(&file, "{kind: Config, clusters: 7}").unwrap();
        check(Some(&file), None, &["cannot use the kubeconfig"]);
        std::fs::write(&file, KUBECONFIG.replace("current-context: a", "current-context: b")).unwrap();
        check(Some(&file), None, &["cannot use the kubeconfig", "context: b"]);
        let broken =
            KUBECONFIG.replace("token: secret", "client-certificate-data: eA==, client-key-data: eA==");
        std::fs::write(&file, broken).unwrap();
        check(Some(&file), None, &["cannot set up the connection", "certificates"]);
        for url in ["https://", "http:// x", "::"] {
            check(None, Some(url), &["--master", "is not a URL"]);
        }
        // Tests run outside a cluster.
        check(None, None, &["no API server to ask", "--kubeconfig"]);
    }

    #[test]
    fn requests_are_limited_as_kube_proxy_would() {
        let check = |qps: f32, burst: u32, limited: bool| {
            let settings = ClientSettings { qps, burst, ..ClientSettings::default() };
            assert_eq!(rate(&settings).is_some(), limited, "{qps} {burst}");
        };
        check(0.0, 0, true);
        check(5.0, 10, true);
        check(-1.0, 10, false);
        check(f32::NAN, 10, false);
        check(f32::INFINITY, 10, false);
    }
}
