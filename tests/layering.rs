//! Enforces the ranks of the design: a module imports only from lower ranks and from its own, and
//! the core names no module that does I/O.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module and its rank. A new module needs a line here.
const RANKS: &[(&str, u8)] = &[
    ("codec", 0),
    ("defect", 0),
    ("printable", 0),
    ("random", 0),
    ("table", 0),
    ("time", 0),
    ("wdp", 0),
    ("limit", 1),
    ("obex", 1),
    ("radius", 1),
    ("sms", 1),
    ("trace_context", 1),
    ("wbxml", 1),
    ("wtls", 1),
    ("wtp", 1),
    ("identity", 2),
    ("smpp", 2),
    ("syncml", 2),
    ("wsp", 2),
    ("explain", 3),
    ("push", 3),
    ("route", 3),
    ("gateway", 4),
    ("handset", 5),
    ("sim", 5),
    ("trace", 5),
    ("worker", 6),
    ("initiator", 7),
    ("record", 7),
    ("server_tls", 6),
    ("smsc", 7),
    ("store", 7),
    ("upstream", 7),
    ("config", 8),
    ("server", 9),
    ("admin", 10),
    ("cli", 11),
    ("main", 11),
];

/// Names that ranks 0 to 5 may not use.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "rustls",
    "tracing",
    "metrics::",
    "std::fs",
    "std::env",
    "UdpSocket",
    "TcpStream",
    "std::time::Instant",
    "SystemTime::now",
    "getrandom",
    "RandomState",
    "std::thread",
    "Mutex",
];

#[test]
fn modules_import_downwards_only() {
    let mut faults = Vec::new();
    for (path, module, text) in sources() {
        let own = rank(&module).unwrap_or_else(|| panic!("{module} has no rank: add it to RANKS"));
        for (number, line) in code(&text) {
            for imported in imports(line) {
                let Some(theirs) = rank(&imported) else {
                    continue;
                };
                if theirs > own
                    || theirs == own && imported != module && !same_rank_allowed(&module, &imported)
                {
                    faults.push(format!(
                        "{}:{number}: {module} (rank {own}) imports {imported} (rank {theirs})",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_does_no_io() {
    let mut faults = Vec::new();
    for (path, module, text) in sources() {
        if rank(&module).is_none_or(|rank| rank > 5) {
            continue;
        }
        for (number, line) in code(&text) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                faults.push(format!(
                    "{}:{number}: {module} names {word}",
                    path.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The design names files. Each of them exists, so that a reader finds the place to change.
#[test]
fn the_design_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let named: Vec<&str> = design
        .lines()
        .filter(|line| line.starts_with("//!"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('/') || name.ends_with(".rs"))
        .filter(|name| !name.contains([' ', '(', '*', ':']))
        .collect();
    assert!(named.len() > 40, "the design names {} files", named.len());
    for name in named {
        let exists = root.join("src").join(name).exists() || root.join(name).exists();
        assert!(exists, "src/lib.rs names {name}, which is not there");
    }
}

#[test]
fn the_checks_above_can_fail() {
    assert_eq!(imports("use crate::gateway::{Event, Stats};"), ["gateway"]);
    assert_eq!(imports("use crate::{wsp, wtp};"), ["wsp", "wtp"]);
    assert_eq!(
        imports("    let x = crate::server::clock::seed();"),
        ["server"]
    );
    assert!(rank("server") > rank("wtp"));
    assert!(
        IMPURE
            .iter()
            .any(|word| "use tokio::net::UdpSocket;".contains(word))
    );
}

/// Rank 5 is the two drivers of the core; the simulator plays the handsets' world. Rates are of any layer.
fn same_rank_allowed(module: &str, imported: &str) -> bool {
    [("sim", "handset"), ("wtls", "limit")].contains(&(module, imported))
}

fn rank(module: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// The top-level modules a line names through `crate::`.
fn imports(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            found.extend(list.split(',').map(|item| word(item.trim())));
        } else {
            found.push(word(rest));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The lines of code in a file, without comments and unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| !matches!(line.trim(), "#[cfg(test)]" | "#![cfg(test)]"))
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Every source file with the top-level module it belongs to.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "found only {} source files", files.len());
    files
        .into_iter()
        .filter_map(|path| {
            let inner = path.strip_prefix(&root).ok()?;
            let module = inner
                .components()
                .next()?
                .as_os_str()
                .to_str()?
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(&path).ok()?;
            (module != "lib").then_some((path, module, text))
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
