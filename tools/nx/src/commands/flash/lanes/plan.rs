//! Which devices a run is about.

use std::path::{Path, PathBuf};

use clap::Args;

use super::wanted::{Found, Wanted, each_once};
use crate::commands::flash::device_port::{DevicePort, PortOptions};
use crate::config;
use crate::error::NxError;
use crate::reason::Reason;

/// Lanes at once. Each costs a thread, and memory for what is on its way.
pub(super) const LANES_MAX: usize = 64;

/// Whether to wait for devices.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Take devices as they come, at ports that may not be there yet, until Ctrl-C
    #[arg(long)]
    pub(super) wait: bool,
    /// End when so many devices are done, well or not; those under way are finished
    #[arg(long, value_name = "N", requires = "wait",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) wait_for: Option<u32>,
}

/// The devices of a run.
#[derive(Debug)]
pub(crate) enum Plan {
    /// The one at a port that is named.
    One(Box<DevicePort>),
    /// Several, or as many as there are.
    Many(Many),
}

/// Several devices, or as many as there are.
#[derive(Debug)]
pub(crate) struct Many {
    pub(super) wanted: Vec<Wanted>,
    /// What is there now, if nothing is waited for.
    pub(super) fixed: Option<Vec<Found>>,
    pub(super) wait_for: Option<u32>,
    options: PortOptions,
}

impl Plan {
    /// What the command line says. Without a port on it, the default port is meant.
    ///
    /// # Errors
    /// What is no port, or is there twice; a pattern of ports of which none is there; events or
    /// captures that would be in each other's way.
    pub(crate) fn of(
        ports: &[String],
        options: &PortOptions,
        wait: &WaitArgs,
    ) -> Result<Self, NxError> {
        let default;
        let ports = if ports.is_empty() {
            default = [config::port(None)?];
            &default
        } else {
            ports
        };
        let wanted = ports.iter().map(|port| Wanted::parse(port));
        let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
        if let [one] = wanted.as_slice()
            && !one.is_pattern()
            && !wait.wait
        {
            let port = Some(one.text().to_owned());
            let port = DevicePort::at(port, options.clone());
            return Ok(Self::One(Box::new(port)));
        }
        each_once(&wanted)?;
        records_allowed(options, wait.wait)?;
        let fixed = if wait.wait { None } else { Some(now(&wanted)?) };
        Ok(Self::Many(Many {
            wanted,
            fixed,
            wait_for: wait.wait_for,
            options: options.clone(),
        }))
    }

    /// Whether a device in this process is among them.
    pub(crate) fn has_loopback(&self) -> Result<bool, NxError> {
        let is_loopback = |scheme: &str| scheme == "loopback";
        match self {
            Self::One(port) => Ok(is_loopback(&port.spec()?.scheme)),
            Self::Many(many) => {
                let mut wanted = many.wanted.iter();
                Ok(wanted.any(|wanted| is_loopback(&wanted.spec().scheme)))
            }
        }
    }

    /// Whether the events take standard output, where the result would go.
    pub(crate) fn events_to_stdout(&self) -> bool {
        matches!(self, Self::One(port) if port.options.events_to_stdout())
    }
}

impl Many {
    /// The device of a lane, with events and captures in files of its own.
    pub(super) fn device(&self, lane: u32, found: &Found) -> DevicePort {
        let mut options = self.options.clone();
        let numbered = |path: PathBuf| numbered(&path, lane);
        options.capture = options.capture.map(numbered);
        options.events = options.events.map(numbered);
        DevicePort::at(Some(found.port.clone()), options)
    }
}

/// The file of one lane: `FILE.3`.
fn numbered(path: &Path, lane: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{lane}"));
    name.into()
}

fn records_allowed(options: &PortOptions, wait: bool) -> Result<(), NxError> {
    if options.events_to_stdout() {
        let text = "--events - is for one device";
        let error = NxError::new(Reason::UsageArguments, text);
        return Err(error.hint("`--events FILE`, which makes FILE.1, FILE.2, … for the devices"));
    }
    if wait && (options.events.is_some() || options.capture.is_some()) {
        let text = "--events and --capture are for devices that are there, not with --wait";
        let error = NxError::new(Reason::UsageArguments, text);
        return Err(error.hint("`--json`, which says at the end what came of each device"));
    }
    Ok(())
}

/// Every port that is named or matches, once.
fn now(wanted: &[Wanted]) -> Result<Vec<Found>, NxError> {
    let mut all: Vec<Found> = Vec::new();
    for wanted in wanted {
        let found = if wanted.is_pattern() {
            let found = wanted.look();
            if found.is_empty() {
                let text = format!("no port is there that matches `{}`", wanted.text());
                return Err(NxError::new(Reason::PortNotFound, text)
                    .hint("`nx flash ports`; or --wait, which takes devices as they come"));
            }
            found
        } else {
            vec![wanted.named()]
        };
        for found in found {
            if !all.iter().any(|other| other.place == found.place) {
                all.push(found);
            }
        }
    }
    if all.len() > LANES_MAX {
        let text = format!("{} ports, and at most {LANES_MAX} at once", all.len());
        return Err(NxError::new(Reason::UsageArguments, text).hint("fewer ports in one run"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[arg(long)]
        port: Vec<String>,
        #[command(flatten)]
        options: PortOptions,
        #[command(flatten)]
        wait: WaitArgs,
    }

    fn plan(line: &str) -> Result<Plan, NxError> {
        let words = ["nx"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).unwrap();
        Plan::of(&line.port, &line.options, &line.wait)
    }

    fn refused(line: &str) -> Reason {
        plan(line).unwrap_err().reason()
    }

    #[test]
    fn one_port_that_is_named_is_a_run_for_one_device() {
        assert!(matches!(plan("--port unix:/s"), Ok(Plan::One(_))));
        assert!(matches!(plan("--port unix:/s --wait"), Ok(Plan::Many(_))));
        let two = plan("--port unix:/there/is/none/a --port unix:/there/is/none/b").unwrap();
        let Plan::Many(many) = two else {
            panic!("{two:?}")
        };
        // A port that is not there is for its lane to tell.
        let ports: Vec<String> = many.fixed.unwrap().into_iter().map(|f| f.port).collect();
        assert_eq!(ports, ["unix:/there/is/none/a", "unix:/there/is/none/b"]);
    }

    #[test]
    fn a_pattern_makes_many_of_one_and_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "").unwrap();
        let dir = dir.path().display();
        let plan = plan(&format!("--port unix:{dir}/* --port unix:{dir}/a")).unwrap();
        let Plan::Many(many) = plan else {
            panic!("{plan:?}")
        };
        assert_eq!(many.fixed.unwrap().len(), 1);
        assert_eq!(
            refused(&format!("--port unix:{dir}/b*")),
            Reason::PortNotFound
        );
    }

    #[test]
    fn more_lanes_than_are_allowed_are_refused() {
        let ports = |count: usize| {
            let ports = (0..count).map(|number| format!("--port loopback:{number} "));
            plan(&ports.collect::<String>())
        };
        assert!(ports(LANES_MAX).is_ok());
        let error = ports(LANES_MAX + 1).unwrap_err();
        assert_eq!(error.reason(), Reason::UsageArguments);
    }

    #[test]
    fn each_lane_has_files_of_its_own_and_what_would_mix_is_refused() {
        let two = "--port loopback:a --port loopback:b";
        let Plan::Many(many) = plan(&format!("{two} --events e --capture c")).unwrap() else {
            panic!("one")
        };
        let options = many.device(2, &many.fixed.as_ref().unwrap()[1]).options;
        assert_eq!(options.events.unwrap(), Path::new("e.2"));
        assert_eq!(options.capture.unwrap(), Path::new("c.2"));
        for line in [
            format!("{two} --events -"),
            format!("{two} --wait --events e"),
            format!("{two} --wait --capture c"),
            format!("{two} --port loopback:a"),
        ] {
            assert_eq!(refused(&line), Reason::UsageArguments, "{line}");
        }
    }
}
