use clap::Args;
use nx_transport::ports::{Hindrance, Holder, Port, PortKind, list};
use nx_transport::{Driver, Key, Layer, layers, schemes};
use serde_json::{Value, json};

use crate::cli::Ran;
use crate::config;
use crate::error::NxError;
use crate::output::{Outcome, Ui};

/// List the kinds of links that this nx knows, and this machine's serial ports
///
/// For each port it says what is in the way: a missing permission and the group that has it, or who
/// has the port open.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PortsArgs {}

const EXAMPLES: &str = "\
Examples:
  nx flash ports
  nx flash ports --json";

pub(crate) fn run(_: &PortsArgs, ui: &mut Ui) -> Ran {
    let (schemes, layers) = (schemes(), layers());
    let ports = list()?;
    let default = config::default_port()?;
    if !ui.is_json() {
        table(&schemes, &layers, &ports, ui)?;
    }
    let data = json!({
        "schemes": schemes.iter().map(|driver| json!({
            "scheme": driver.scheme,
            "summary": driver.summary,
            "syntax": driver.syntax,
            "keys": keys(driver.keys),
        })).collect::<Vec<_>>(),
        "layers": layers.iter().map(|layer| json!({
            "layer": layer.name,
            "summary": layer.summary,
            "keys": keys(layer.keys),
        })).collect::<Vec<_>>(),
        "ports": ports.iter().map(port).collect::<Vec<_>>(),
        "default_port": default,
    });
    if let Some(default) = &default {
        ui.line(format!("default port: {default}"))?;
    }
    let message = match ports.len() {
        0 => "no serial port on this machine".to_owned(),
        1 => "1 serial port on this machine".to_owned(),
        ports => format!("{ports} serial ports on this machine"),
    };
    Ok(Outcome::new(message).data(data))
}

fn table(
    schemes: &[&Driver],
    layers: &[&Layer],
    ports: &[Port],
    ui: &mut Ui,
) -> Result<(), NxError> {
    ui.line("schemes")?;
    let width = schemes
        .iter()
        .map(|driver| driver.syntax.len())
        .max()
        .unwrap_or_default();
    for driver in schemes {
        ui.line(format!("  {:width$}  {}", driver.syntax, driver.summary))?;
        for key in driver.keys {
            ui.line(format!("      {}=  {}", key.name, key.summary))?;
        }
    }
    ui.line("layers, to be put before a scheme")?;
    let width = layers
        .iter()
        .map(|layer| layer.name.len())
        .max()
        .unwrap_or_default();
    for layer in layers {
        let name = format!("{}+", layer.name);
        ui.line(format!(
            "  {name:<0$}  {1}",
            width.saturating_add(1),
            layer.summary
        ))?;
        for key in layer.keys {
            ui.line(format!("      {}=  {}", key.name, key.summary))?;
        }
    }
    if !ports.is_empty() {
        ui.line("ports")?;
    }
    for port in ports {
        ui.line(format!("  {}  {}", port.path, what(&port.kind)))?;
        if let Some(stable) = &port.stable_path {
            ui.line(format!("      also {stable}"))?;
        }
        for hindrance in &port.in_the_way {
            ui.line(format!("      {}", in_the_way(hindrance)))?;
        }
    }
    Ok(())
}

fn what(kind: &PortKind) -> String {
    match kind {
        PortKind::Usb {
            vendor_id,
            product_id,
            manufacturer,
            product,
            serial_number,
        } => {
            let said = [manufacturer, product, serial_number].into_iter().flatten();
            let said: Vec<&str> = said.map(String::as_str).collect();
            format!("USB {vendor_id:04x}:{product_id:04x} {}", said.join(" "))
                .trim_end()
                .to_owned()
        }
        PortKind::Pci => "PCI".to_owned(),
        PortKind::Bluetooth => "Bluetooth".to_owned(),
        PortKind::Virtio { name } => format!("virtio {name}"),
        _ => "serial".to_owned(),
    }
}

fn in_the_way(hindrance: &Hindrance) -> String {
    match hindrance {
        Hindrance::Permission { group: Some(group) } => {
            format!("no permission: it is for members of group {group}")
        }
        Hindrance::Permission { group: None } => "no permission".to_owned(),
        Hindrance::Busy { by } => {
            let by: Vec<String> = by.iter().map(holder).collect();
            format!("in use by {}", by.join(", "))
        }
        _ => "something is in the way".to_owned(),
    }
}

fn holder(holder: &Holder) -> String {
    format!("{} (process {})", holder.name, holder.pid)
}

fn keys(keys: &[Key]) -> Vec<Value> {
    keys.iter()
        .map(|key| json!({ "key": key.name, "summary": key.summary }))
        .collect()
}

fn port(port: &Port) -> Value {
    let in_the_way: Vec<Value> = port
        .in_the_way
        .iter()
        .map(|hindrance| match hindrance {
            Hindrance::Permission { group } => json!({ "kind": "permission", "group": group }),
            Hindrance::Busy { by } => {
                let by = by
                    .iter()
                    .map(|by| json!({ "pid": by.pid, "name": by.name }));
                json!({ "kind": "busy", "by": by.collect::<Vec<_>>() })
            }
            _ => json!({ "kind": "other" }),
        })
        .collect();
    json!({
        "path": port.path,
        "stable_path": port.stable_path,
        "kind": match &port.kind {
            PortKind::Usb { vendor_id, product_id, manufacturer, product, serial_number } => json!({
                "bus": "usb",
                "vendor_id": vendor_id,
                "product_id": product_id,
                "manufacturer": manufacturer,
                "product": product,
                "serial_number": serial_number,
            }),
            PortKind::Pci => json!({ "bus": "pci" }),
            PortKind::Bluetooth => json!({ "bus": "bluetooth" }),
            PortKind::Virtio { name } => json!({ "bus": "virtio", "name": name }),
            _ => json!({ "bus": null }),
        },
        "in_the_way": in_the_way,
    })
}
