//! Connections: accepted, bounded, and ended when the service stops.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::config::Limits;
use crate::error::{Error, Result};
use crate::http::App;
use crate::prompt::Prompt;

/// How often an idle connection of HTTP/2 is asked whether its client is still there.
const PING: Duration = Duration::from_secs(20);
/// A connection on which nothing arrives for so long is ended. Longer than any answer takes: while a request is
/// worked on, nothing need arrive.
const IDLE: Duration = Duration::from_secs(900);
/// Requests at a time on a connection of HTTP/2.
const STREAMS: u32 = 64;
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 32 << 10;
/// Pause after a connection could not be accepted, for example for want of file handles.
const PAUSE: Duration = Duration::from_millis(50);

/// TLS by a certificate chain and its key, both in PEM.
///
/// # Errors
/// Files that cannot be read or hold something else, or a key that is not the certificate's.
pub fn tls(certificates: &Path, key: &Path) -> Result<TlsAcceptor> {
    let fault = |path: &Path, error: &dyn std::fmt::Display| {
        Error::from(das_core::Error::format(path, error.to_string()))
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect);
    let chain = chain.map_err(|error| fault(certificates, &error))?;
    if chain.is_empty() {
        return Err(fault(certificates, &"expected at least one certificate in PEM"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, &error))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Invalid(format!("TLS: {error}")))?
        .with_no_client_auth()
        .with_single_cert(chain, private);
    let mut config = config.map_err(|error| fault(key, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Answers connections of `listener` by `router` until `stop` is done and [`Limits::leave`] has passed, then finishes
/// what was admitted and returns. Requests that take longer than [`Limits::drain`] then are cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let limits = app.service.limits().clone();
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let connection = Connection { router, app: app.clone(), tls, limits: limits.clone() };
    let accepting = Accepting { listener, places, connection, graceful: &graceful };
    accepting.until(stop).await;
    app.leaving.store(true, Ordering::Relaxed);
    if !limits.leave.is_zero() {
        tracing::info!(seconds = limits.leave.as_secs_f64(), "leaving: not ready for more");
        accepting.until(tokio::time::sleep(limits.leave)).await;
    }
    app.stopping.store(true, Ordering::Relaxed);
    drop(accepting);
    tracing::info!("stopping: finishing what was admitted");
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off: they took too long");
    }
}

/// Where connections come from, and what becomes of them.
struct Accepting<'a> {
    listener: TcpListener,
    places: Arc<Semaphore>,
    connection: Connection,
    graceful: &'a GracefulShutdown,
}

impl Accepting<'_> {
    /// Has connections answered until `done` is.
    async fn until(&self, done: impl Future<Output = ()>) {
        tokio::pin!(done);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut done => return,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                self.connection.app.service.metrics().refused("connections");
                continue;
            };
            let (connection, watcher) = (self.connection.clone(), self.graceful.watcher());
            tokio::spawn(async move {
                let _place = place;
                let _counted = Counted::new(&connection.app.connections);
                connection.accept(stream, watcher).await;
            });
        }
    }
}

/// Counts a connection for as long as it lives, however it ends.
struct Counted<'a>(&'a AtomicUsize);

impl Counted<'_> {
    fn new(number: &AtomicUsize) -> Counted<'_> {
        number.fetch_add(1, Ordering::Relaxed);
        Counted(number)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How connections are answered.
#[derive(Clone)]
struct Connection {
    router: Router,
    app: Arc<App>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Connection {
    async fn accept(&self, stream: TcpStream, watcher: hyper_util::server::graceful::Watcher) {
        // Small answers go out at once. A stream that refuses is answered all the same.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.answer(stream, watcher).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.limits.head_timeout, tls.accept(stream));
                match handshake.await {
                    Ok(Ok(stream)) => self.answer(stream, watcher).await,
                    Ok(Err(_)) | Err(_) => self.app.service.metrics().refused("tls"),
                }
            }
        }
    }

    async fn answer<S>(&self, stream: S, watcher: hyper_util::server::graceful::Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = Prompt::new(stream, self.limits.head_timeout);
        let mut stream = TimeoutStream::new(stream);
        stream.set_read_timeout(Some(IDLE));
        stream.set_write_timeout(Some(self.limits.body_timeout));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(HEAD_BYTES.max(64 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_header_list_size(HEAD_BYTES as u32)
            .max_concurrent_streams(STREAMS);
        let service = TowerToHyperService::new(self.router.clone());
        let io = TokioIo::new(Box::pin(stream));
        let connection = builder.serve_connection(io, service).into_owned();
        // A client that breaks off or breaks the protocol is no concern of ours.
        let _ = watcher.watch(connection).await;
    }
}

/// Whether nobody but this machine reaches an address.
pub fn is_private(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}
