use nx_transport::{PortSpec, TransportError};

use super::NxError;
use crate::reason::Reason;

const LIST_PORTS: &str = "nx flash ports";

impl From<TransportError> for NxError {
    fn from(error: TransportError) -> Self {
        use TransportError as E;
        let reason = match &error {
            E::BadSpec { .. } => Reason::PortBadSpec,
            E::NoDriver { .. } => Reason::PortUnknownScheme,
            E::NoLayer { .. } => Reason::PortUnknownLayer,
            E::UnknownKey { .. } => Reason::PortUnknownKey,
            E::AmbiguousKey { .. } => Reason::PortAmbiguousKey,
            E::BadValue { .. } => Reason::PortBadValue,
            E::Remote { .. } => Reason::PortRemote,
            E::NotFound { .. } => Reason::PortNotFound,
            E::NotAPort { .. } => Reason::PortNotAPort,
            E::Permission { .. } => Reason::PortPermission,
            E::Busy { .. } => Reason::PortBusy,
            E::BaudRefused { .. } => Reason::PortBaudRefused,
            E::BadCapture { .. } => Reason::CaptureDamaged,
            E::NeedsSplitter { .. } | E::Unsupported { .. } => Reason::PortUnsupported,
            E::Refused { .. } => Reason::PortRefused,
            E::Closed { .. } => Reason::PortClosed,
            E::TimedOut { .. } => Reason::PortTimedOut,
            E::Io { .. } => Reason::PortIo,
            _ => Reason::InternalUnexpected,
        };
        let hint = hint(&error);
        let error = Self::of(reason, &error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

fn hint(error: &TransportError) -> Option<String> {
    use TransportError as E;
    let text = match error {
        E::NoDriver {
            nearest: Some(nearest),
            ..
        } => {
            return Some(format!("`{nearest}:…`; `{LIST_PORTS}` lists every scheme"));
        }
        E::BadSpec { .. } | E::NoDriver { .. } | E::NoLayer { .. } => {
            "`nx flash ports`, which lists schemes, layers and this machine's ports"
        }
        E::NotFound { port } | E::NotAPort { port, .. } => match scheme(port).as_deref() {
            Some("unix") => {
                "starting the other side, which makes the socket: `flashd --port \
                 'unix:PATH?listen' …`, or the virtual machine"
            }
            Some("replay") => "a file that `--capture` wrote",
            _ => "`nx flash ports`, which lists this machine's ports",
        },
        E::Permission {
            group: Some(group), ..
        } => {
            return Some(format!(
                "`sudo usermod -aG {group} $USER`, then log in again"
            ));
        }
        E::Busy { .. } => "ending the other program, or another port",
        E::BaudRefused { .. } => "a speed that the adapter can do, such as --baud 115200",
        E::Refused { .. } => "starting the other side: `flashd --port …` or the virtual machine",
        E::Closed { .. } => "the same command again: it goes on where it stopped",
        _ => return None,
    };
    Some(text.to_owned())
}

fn scheme(port: &str) -> Option<String> {
    let spec: PortSpec = port.parse().ok()?;
    Some(spec.scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(port: &str) -> NxError {
        let opened = port
            .parse()
            .and_then(|spec| nx_transport::open(&spec, &Default::default()));
        opened.expect_err("it opened").into()
    }

    #[test]
    fn an_unknown_scheme_names_the_known_and_the_nearest() {
        let error = open("unix2:/tmp/x");
        assert_eq!(error.reason(), Reason::PortUnknownScheme);
        assert!(error.message().contains("known: "), "{}", error.message());
        assert!(
            error
                .try_this()
                .is_some_and(|hint| hint.starts_with("`unix:"))
        );
    }

    #[test]
    fn a_socket_that_is_not_there_points_to_what_makes_it() {
        for port in ["unix:/there/is/no/s", "lossy+unix:/there/is/no/s?seed=1"] {
            let error = open(port);
            assert_eq!(error.reason(), Reason::PortNotFound);
            let hint = error.try_this().unwrap();
            assert!(hint.contains("flashd"), "{port}: {hint}");
        }
        let error = open("replay:/there/is/no/capture");
        assert!(error.try_this().unwrap().contains("--capture"));
    }

    #[test]
    fn a_port_that_is_not_there_points_to_the_list() {
        let error = open("/dev/there/is/no/such/port");
        assert_eq!(error.reason(), Reason::PortNotFound);
        assert!(
            error
                .try_this()
                .is_some_and(|hint| hint.contains("nx flash ports"))
        );
    }
}
