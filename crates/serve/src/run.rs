//! A service from its configuration to its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::admin::Admin;
use crate::artifact::{Loaded, Source, load};
use crate::auth::Keys;
use crate::batch::Batcher;
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::grpc;
use crate::http::{App, router};
use crate::metrics::Metrics;
use crate::online::{CarriedOver, Committer, Store};
use crate::registry::{Experiment, Registry};
use crate::server::{is_private, serve, tls};
use crate::service::Service;

/// Rows that a worker computes at a time.
const COMPUTED: usize = 256;

/// How long a stopping service waits for what it reads from the disk.
const LOADING: Duration = Duration::from_secs(2);

/// What is served, where, and to whom.
#[derive(Debug)]
pub struct ServeConfig {
    /// The artifact.
    pub live: Source,
    /// One beside it, and what it is for.
    pub second: Option<(Source, Experiment)>,
    /// The file of entities that come later; made where it is missing.
    pub online: PathBuf,
    /// The address, with port 0 for any.
    pub listen: SocketAddr,
    /// Certificate chain and key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Who may ask.
    pub keys: Keys,
    /// Whether everybody may whom the address lets in, though there are no keys.
    pub open: bool,
    /// How often the folders are looked at for new versions; never where none.
    pub watch: Option<Duration>,
    /// Threads that compute; as many as there are cores where 0.
    pub compute_threads: usize,
    /// Threads that read and write; as many as there are cores where 0.
    pub io_threads: usize,
    /// How much is taken on.
    pub limits: Limits,
}

/// Serves until `stop` is done. `listening` is told the address once requests are welcome.
///
/// # Errors
/// Artifacts, files or an address that cannot be used, and an address that others reach without keys.
pub fn run(
    config: ServeConfig,
    stop: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    if !is_private(&config.listen) && config.keys.is_empty() && !config.open {
        return Err(Error::Invalid(format!(
            "others reach {}: give API keys, or say that everybody may ask",
            config.listen
        )));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = |number: usize| if number == 0 { cores } else { number };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads(config.io_threads))
        .thread_name("das-io")
        .enable_all()
        .build()
        .map_err(|error| Error::Invalid(format!("no threads: {error}")))?;
    let acceptor = match &config.tls {
        Some((certificates, key)) => Some(tls(certificates, key)?),
        None => None,
    };
    let live = Arc::new(load(&config.live)?);
    let second = match &config.second {
        Some((source, experiment)) => {
            let experiment =
                experiment.check().map_err(|refusal| Error::Invalid(refusal.message))?;
            Some((Arc::new(load(source)?), experiment))
        }
        None => None,
    };
    let committer =
        Committer::start(Arc::new(Store::open(&config.online)?), config.limits.queue_rows)?;
    let batcher =
        Batcher::start(threads(config.compute_threads), COMPUTED, config.limits.queue_rows)?;
    let served = runtime.block_on(async {
        activate(&committer, &live, second.as_ref().map(|(second, _)| second)).await?;
        let metrics = Metrics::default();
        let registry = Registry::new(live, second);
        let service = Service::new(registry, batcher, committer, config.limits, metrics.clone());
        let service = Arc::new(service);
        let second = config.second.map(|(source, _)| source);
        let admin = Arc::new(Admin::new(service.clone(), metrics, config.live, second));
        let app = Arc::new(App::new(service, admin.clone(), config.keys));
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.map_err(|error| {
            Error::Invalid(format!("cannot listen on {}: {error}", config.listen))
        })?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let watching = config.watch.map(|every| {
            let admin = admin.clone();
            tokio::spawn(async move { admin.watch(every).await })
        });
        let metrics = app.service.metrics().clone();
        let sampling = tokio::spawn(async move {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                metrics.sample();
            }
        });
        let pressed = app.clone();
        let long = app.service.limits().thread_wait;
        let io = threads(config.io_threads);
        let measuring = tokio::spawn(async move { pressed.pressure.watch(long, io).await });
        // Asked once before anybody hears of the address: that is when it begins to listen for signals.
        let mut stop = std::pin::pin!(stop);
        let begun = std::future::poll_fn(|context| Poll::Ready(stop.as_mut().poll(context)));
        if begun.await.is_ready() {
            return Ok(());
        }
        tracing::info!(%address, "listening");
        listening(address);
        let paths = router(app.clone()).merge(grpc::routes(app.clone()));
        serve(listener, paths, app, acceptor, stop).await;
        measuring.abort();
        sampling.abort();
        watching.iter().for_each(tokio::task::JoinHandle::abort);
        tracing::info!("stopped");
        Ok(())
    });
    // A version that is being loaded keeps nobody waiting.
    runtime.shutdown_timeout(LOADING);
    served
}

async fn activate(
    committer: &Committer,
    live: &Arc<Loaded>,
    second: Option<&Arc<Loaded>>,
) -> Result<()> {
    let artifacts: Vec<Arc<Loaded>> = std::iter::once(live).chain(second).cloned().collect();
    let carried = committer.activate(artifacts.clone()).await?;
    for (loaded, CarriedOver { carried, left }) in artifacts.iter().zip(carried) {
        let version = loaded.version();
        tracing::info!(version, carried, left, "artifact loaded");
        if left > 0 {
            tracing::warn!(
                version,
                left,
                "entities of the store cannot be encoded by this artifact"
            );
        }
    }
    Ok(())
}

/// Done once the process is asked to stop: Ctrl-C or SIGTERM. A second one ends it at once.
pub async fn stop_signal() {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    let signals =
        signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
    let Ok((mut interrupt, mut terminate)) = signals else {
        // Without handlers a signal ends the process, as if nobody had asked for more.
        return std::future::pending().await;
    };
    let asked = async |interrupt: &mut Signal, terminate: &mut Signal| {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    asked(&mut interrupt, &mut terminate).await;
    tokio::spawn(async move {
        asked(&mut interrupt, &mut terminate).await;
        std::process::exit(1);
    });
}
