//! What the long-running commands share: listening, stopping, telling where they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};

/// Listens, and tells where.
///
/// # Errors
/// If the address is taken or not this machine's.
pub async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(
            Exit::Unavailable,
            format!("cannot listen on {address}: {error}"),
        )
        .with_next("choose another address with --listen; port 0 takes a free port")
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// An address under which a client of this machine reaches a listener.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Cancelled at SIGINT and SIGTERM; a second signal ends the process at once.
///
/// # Errors
/// If signals cannot be handled.
pub fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let mut is_second = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_second {
                std::process::exit(130);
            }
            is_second = true;
            token.cancel();
        }
    });
    Ok(shutdown)
}

/// What to type so that kubectl uses a file.
#[must_use]
pub fn export_line(kubeconfig: &Path) -> String {
    let text = kubeconfig.to_string_lossy();
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte));
    if is_plain {
        format!("export KUBECONFIG={text}")
    } else {
        format!("export KUBECONFIG='{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_export_line_is_safe_to_paste() {
        let line = |path: &str| export_line(Path::new(path));
        assert_eq!(
            line("/tmp/d/kubeconfig"),
            "export KUBECONFIG=/tmp/d/kubeconfig"
        );
        assert_eq!(line("/tmp/a b"), "export KUBECONFIG='/tmp/a b'");
        assert_eq!(line("/tmp/it's"), r"export KUBECONFIG='/tmp/it'\''s'");
    }
}
