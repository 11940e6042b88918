//! What `nx` asks of a `flashd`.

use std::path::Path;

use crate::world::World;

/// A command of `nx flash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Send the new image.
    Send,
    /// Compare the device with the old image, which it has.
    Verify,
    /// Have it start into recovery next.
    Reboot,
}

impl Job {
    /// Its arguments, for the `flashd` at `socket`.
    pub(super) fn args(self, world: &World, socket: &Path) -> Vec<String> {
        let image = |name: &str| world.asset(name).display().to_string();
        let words: &[&str] = match self {
            Self::Send => &["flash", "send", "--img"],
            Self::Verify => &["flash", "verify", "--manifest"],
            Self::Reboot => &["flash", "reboot", "recovery"],
        };
        let mut args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Send => {
                args.extend([image("new.img"), "--manifest".to_owned(), image("new.json")]);
            }
            Self::Verify => args.push(image("old.json")),
            Self::Reboot => {}
        }
        let port = format!("unix:{}", socket.display());
        args.extend(["--give-up-after", "30", "--port", &port].map(str::to_owned));
        args
    }
}
