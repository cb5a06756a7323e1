//! The files that `include` names.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::mask;
use super::report::Problem;
use super::source::Sources;

/// Reads the files that the first one includes. Returns the errors.
pub(super) fn include(sources: &mut Sources, directory: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut patterns = Vec::new();
    if let Some(first) = sources.files().next() {
        let (table, _) = DeTable::parse_recoverable(&first.text);
        if let Some(value) = table.get_ref().get("include") {
            let one = std::slice::from_ref(value);
            let values = value.get_ref().as_array().map_or(one, |values| values);
            let texts = values
                .iter()
                .filter_map(|value| Some((value.get_ref().as_str()?.to_owned(), value.span())));
            patterns.extend(texts);
        }
    }
    for (pattern, at) in patterns {
        let mut invalid = |title: String, label: String, help: &str| {
            problems.push(Problem {
                title,
                at: at.clone(),
                label,
                related: None,
                help: help.to_owned(),
            });
        };
        let files = match included(directory, &pattern) {
            Ok(files) => files,
            Err(error) => {
                invalid(
                    "invalid `include`".to_owned(),
                    error.to_string(),
                    "it names files, relative to the directory of this one; * stands for anything in a file's name",
                );
                continue;
            }
        };
        for path in files {
            let name = path.display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let (table, _) = DeTable::parse_recoverable(&text);
                    if table.get_ref().contains_key("include") {
                        invalid(
                            "an included file includes another".to_owned(),
                            format!("{} has an `include` of its own", mask::file(&path)),
                            "name every file here",
                        );
                    } else {
                        sources.add(name, text);
                    }
                }
                Err(error) => invalid(
                    "invalid `include`".to_owned(),
                    format!("{}: {error}", mask::file(&path)),
                    "it is relative to the directory of this file",
                ),
            }
        }
    }
    problems
}

/// The files that a pattern names, in the order of their names. `*` in the last part of the path
/// stands for anything.
///
/// # Errors
/// The directory cannot be read, or there is no such file.
fn included(directory: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    let path = directory.join(pattern);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((prefix, suffix)) = name.split_once('*') else {
        return Ok(vec![path]);
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_named = name.len() >= prefix.len() + suffix.len()
            && name.starts_with(prefix)
            && name.ends_with(suffix);
        // As in a shell, `*` does not match hidden files.
        if is_named && (!name.starts_with('.') || prefix.starts_with('.')) && file.is_file() {
            found.push(path.with_file_name(&*name));
        }
    }
    found.sort();
    Ok(found)
}
