//! Taking connections: how many, for how long, and how to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{App, router};

/// How long a client may take to send a request's headers, also while the connection is idle between requests.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of headers a connection may send, and what hyper holds for it.
const HEADERS_BYTES: usize = 32 << 10;
/// How long a peer may take none of what is written to it, before its connection is given up.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);
/// How long connections get to finish when we stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop` is done; then takes no more connections, tells WebSockets that we go, and lets requests
/// finish for a few seconds.
///
/// # Errors
/// None today: failures to accept are logged and tried again.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(app.settings().connections));
    let service = router(app.clone());
    let stopping = app.shared.stopping.clone();
    tokio::pin!(stop);
    loop {
        // A place first: who finds none waits in the system's queue, where waiting costs us nothing.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        match (accepted, place) {
            (Ok((stream, peer)), Ok(place)) => {
                app.shared.tasks.spawn(connection(stream, peer, place, service.clone(), stopping.clone()));
            }
            (Err(error), _) => {
                // Usually no descriptors are left: some connection must end first.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (_, Err(_)) => break,
        }
    }
    stopping.cancel();
    app.shared.tasks.close();
    if tokio::time::timeout(GRACE, app.shared.tasks.wait()).await.is_err() {
        tracing::info!("some connections did not finish in time");
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    service: axum::Router,
    stopping: CancellationToken,
) {
    // Small frames of a live transcript must not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITTEN_WITHIN));
    let stream = Box::pin(stream);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        service.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADERS_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
    drop(place);
}
