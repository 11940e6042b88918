//! `tcp:HOST:PORT`.

use std::io::ErrorKind;
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _,
};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;

use crate::deadline::Deadline;
use crate::listener::{Listener, SOCKET_CAPS};
use crate::registry::{Driver, DriverRequest, Key};
use crate::stream::{Stream, set_nonblocking};
use crate::{Transport, TransportError};

inventory::submit! {
    Driver::new("tcp", open)
        .summary("TCP, on this machine unless told otherwise")
        .syntax("tcp:HOST:PORT, or tcp:HOST:PORT?listen for the other side")
        .keys(&[
            Key::new("listen", "serve one peer after another"),
            Key::new("remote", "yes: other machines too, though nothing on the way is encrypted"),
        ])
}

/// A silent connection is probed after this time, then every [`PROBE_EVERY`].
const PROBE_AFTER: Duration = Duration::from_secs(10);
/// Time between probes of a silent connection.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Unanswered probes after which the peer counts as gone: it lost power, and said nothing.
const PROBES_MAX: u32 = 4;

fn open(request: &DriverRequest<'_>) -> Result<Box<dyn Transport>, TransportError> {
    let port = request.port;
    let remote = request.params.flag("remote")? || request.options.allow_remote;
    let addresses = resolve(port, request.target, remote)?;
    if request.params.flag("listen")? {
        return Ok(Box::new(listen_at(port, &addresses)?.0));
    }
    let fd = reach(
        port,
        &addresses,
        Deadline::after(request.options.connect_timeout),
    )?;
    Ok(Box::new(Stream::over(port, fd, SOCKET_CAPS)?))
}

/// Serves one peer after another at a free port of this machine's loopback address; for tests.
///
/// # Errors
/// `Io` when the system gives none.
pub fn listen_anywhere() -> Result<(Box<dyn Transport>, SocketAddr), TransportError> {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let (listener, address) = listen_at("tcp:127.0.0.1:0?listen", &[any])?;
    Ok((Box::new(listener), address))
}

fn listen_at(
    port: &str,
    addresses: &[SocketAddr],
) -> Result<(Listener, SocketAddr), TransportError> {
    let socket = TcpListener::bind(addresses).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => TransportError::Busy {
            port: port.to_owned(),
            by: String::new(),
        },
        ErrorKind::PermissionDenied => TransportError::Permission {
            port: port.to_owned(),
            group: None,
        },
        _ => TransportError::io("bind", port, error),
    })?;
    let address = socket
        .local_addr()
        .map_err(|error| TransportError::io("getsockname", port, error))?;
    let socket = OwnedFd::from(socket);
    set_nonblocking(socket.as_fd()).map_err(|error| TransportError::io("fcntl", port, error))?;
    Ok((Listener::over(port, socket, prepare), address))
}

fn reach(
    port: &str,
    addresses: &[SocketAddr],
    deadline: Deadline,
) -> Result<OwnedFd, TransportError> {
    let mut last = TransportError::NotFound {
        port: port.to_owned(),
    };
    for address in addresses {
        let left = deadline.left().max(Duration::from_millis(1));
        match TcpStream::connect_timeout(address, left) {
            Ok(stream) => {
                let fd = OwnedFd::from(stream);
                prepare(&fd).map_err(|error| TransportError::io("setsockopt", port, error))?;
                return Ok(fd);
            }
            Err(error) => last = refused(port, error),
        }
    }
    Err(last)
}

fn refused(port: &str, error: std::io::Error) -> TransportError {
    match error.kind() {
        ErrorKind::ConnectionRefused => TransportError::Refused {
            port: port.to_owned(),
        },
        ErrorKind::TimedOut | ErrorKind::WouldBlock => TransportError::TimedOut {
            op: "connect",
            port: port.to_owned(),
        },
        _ => TransportError::io("connect", port, error),
    }
}

fn prepare(fd: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(fd, true)?;
    sockopt::set_socket_keepalive(fd, true)?;
    sockopt::set_tcp_keepidle(fd, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(fd, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(fd, PROBES_MAX)
}

/// The addresses that `target` names, all of them on this machine unless `remote`.
fn resolve(port: &str, target: &str, remote: bool) -> Result<Vec<SocketAddr>, TransportError> {
    let bad = |reason: &str| TransportError::BadSpec {
        port: port.to_owned(),
        reason: reason.to_owned(),
    };
    let (host, number) = target
        .rsplit_once(':')
        .ok_or_else(|| bad("it has the form tcp:HOST:PORT"))?;
    let number: u16 = number
        .parse()
        .map_err(|_| bad("the port is a number up to 65535"))?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let addresses: Vec<IpAddr> = if host == "localhost" {
        // Known without asking anybody.
        vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
    } else if let Some(host) = bare {
        vec![
            host.parse::<Ipv6Addr>()
                .map_err(|_| bad("in brackets goes an IPv6 address"))?
                .into(),
        ]
    } else if host.contains(':') {
        return Err(bad("an IPv6 address goes in brackets: tcp:[::1]:PORT"));
    } else if host.is_empty() {
        return Err(bad("the host is missing"));
    } else if let Ok(address) = host.parse::<Ipv4Addr>() {
        vec![address.into()]
    } else if remote {
        let found = (host, number).to_socket_addrs();
        found
            .map_err(|error| TransportError::io("name lookup", port, error))?
            .map(|found| found.ip())
            .collect()
    } else {
        return Err(TransportError::Remote {
            port: port.to_owned(),
        });
    };
    if !remote && !addresses.iter().all(IpAddr::is_loopback) {
        return Err(TransportError::Remote {
            port: port.to_owned(),
        });
    }
    Ok(addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, number))
        .collect())
}

#[cfg(test)]
mod tests;
