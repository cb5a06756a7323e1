//! What operators see when a configuration is right, and when it is not.

mod commands;
mod examples;
mod mistakes;
mod settings;

use std::path::Path;
use std::process::{Command, Output};

use wapbridge::config::{Report, Settings};

const ROUTE: &str = "[[route]]\n\
    match = \"http://sync.example.com/\"\n\
    upstream = \"https://sync.internal.example:8443/\"\n";

fn parse(source: &str) -> Result<Settings, Report> {
    Settings::parse(source, "wapbridge.toml", Path::new(""))
}

fn wapbridge(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wapbridge"))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(directory)
        .output()
        .unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A directory of its own for a test, gone with it.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Titles of the problems and the text they point at, in order.
fn problems(source: &str) -> Vec<(String, String)> {
    let report = parse(source).expect_err("this configuration has mistakes");
    report
        .problems()
        .iter()
        .map(|problem| (problem.title.clone(), source[problem.at.clone()].to_owned()))
        .collect()
}
