//! Accepting connections, within what there may be of them, and their end when the gateway shuts down.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::tls::Tls;
use super::{Gateway, Quiet};
use crate::changing::Changing;

/// Accepts until `shutdown`, then lets what is under way end.
pub(super) async fn run(
    gateway: Gateway,
    tls: Arc<Changing<Tls>>,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let (connections, rates) = (&gateway.inner.connections, &gateway.inner.connection_rates);
    let quiet = Quiet::default();
    let tasks = TaskTracker::new();
    let kill = CancellationToken::new();
    let metrics = &gateway.inner.metrics;
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => {
                // Out of descriptors or memory: that does not get better at once, and who waits is heard then.
                metrics.accepts_failed.add(1);
                if let Some(more) = quiet.may_speak() {
                    tracing::warn!(%error, more, "a connection was not accepted");
                }
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let origin = origin(peer.ip());
        let Some(held) = connections.one(origin) else {
            metrics.connections_refused.add(1);
            continue;
        };
        if rates.take(origin).is_err() {
            metrics.connections_refused.add(1);
            continue;
        }
        metrics.connections.add(1);
        let connection = Connection {
            gateway: gateway.clone(),
            peer,
            shutdown: shutdown.clone(),
        };
        let acceptor = TlsAcceptor::from(tls.now().server_config());
        let kill = kill.clone();
        tasks.spawn(async move {
            let _held = held;
            tokio::select! {
                () = kill.cancelled() => {}
                () = connection.serve(acceptor, stream) => {}
            }
        });
    }
    drop(listener);
    tasks.close();
    gateway.inner.stop_streams.cancel();
    let patience = gateway.inner.config().drain_timeout;
    if tokio::time::timeout(patience, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "connections did not end in time");
        kill.cancel();
        tasks.wait().await;
    }
}

/// By what connections are told apart: who has one IPv6 address has all of its /64.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

/// Whether an error of accepting says something of one connection alone.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// How long nothing is accepted after what was no fault of a peer.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let origin = |text: &str| origin(text.parse().unwrap()).to_string();
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(origin("2001:db8:1:2::1"), "2001:db8:1:2::");
        assert_eq!(origin("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(origin("::1"), "::");
        assert_eq!(origin("127.0.0.2"), "127.0.0.2");
        assert_eq!(origin("::ffff:127.0.0.2"), "127.0.0.2");
    }
}
