//! The flows. A new one is a line in [`all`]; a new layout a variant of [`Medium`].

mod build;
mod check;
mod flash;
mod job;
mod keygen;
mod medium;
mod reset;
mod solo;

use self::build::Build;
use self::check::Check;
use self::flash::{Flash, Side};
use self::job::Job;
use self::keygen::Keygen;
use self::medium::Medium;
use self::reset::Reset;
use crate::flow::Flow;

/// Every flow.
pub(crate) fn all() -> Vec<Box<dyn Flow>> {
    let flash = |name, side, medium, job, has_old| Flash {
        name,
        side,
        medium,
        job,
        has_old,
    };
    use Medium::{File, InPlace};
    use Side::{Device, Host};
    let flashes = [
        flash("send-host", Host, File, Job::Send, false),
        flash("send-device", Device, File, Job::Send, false),
        flash("install-file", Device, File, Job::Send, true),
        flash("install-in-place", Device, InPlace, Job::Send, true),
        flash("verify-host", Host, File, Job::Verify, true),
        flash("verify-device", Device, File, Job::Verify, true),
        flash("reboot-host", Host, File, Job::Reboot, true),
        flash("reboot-device", Device, File, Job::Reboot, true),
    ];
    let mut all: Vec<Box<dyn Flow>> = Vec::new();
    for flow in flashes {
        all.push(Box::new(flow));
    }
    all.push(Box::new(Reset));
    all.push(Box::new(Build));
    all.push(Box::new(Check));
    all.push(Box::new(Keygen));
    all
}
