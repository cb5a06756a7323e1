//! What the README tells a reader to type works.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use crate::origin::{Origin, ca_file, http_get};
use crate::process::{Gateway, command, recorded, run_in};

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    let after = text.split(open.as_str()).skip(1);
    after
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[tokio::test]
async fn every_command_and_configuration_of_the_readme_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let configurations = blocks(&readme, "toml");
    let [configuration] = configurations[..] else {
        panic!("{configurations:?}");
    };
    let settings = |line: &&str| !line.trim().is_empty();
    assert_eq!(configuration.lines().filter(settings).count(), 5);

    // The reader's gateway, but on ports that are free and with an origin that is here.
    let origin = Origin::start().await;
    let here = configuration
        .replace("0.0.0.0:9201", "127.0.0.1:0")
        .replace("https://sync.internal.example:8443/", &origin.uri());
    assert!(here.contains("127.0.0.1:0") && here.contains("localhost"));
    let rest = "[admin]\nlisten = \"127.0.0.1:0\"\n[tls]\nca_file";
    let here = format!("{here}{rest} = \"{}\"\n", ca_file().display());
    let gateway = Gateway::start(&here).await;

    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    std::fs::write(place.join("wapbridge.toml"), configuration).unwrap();
    let message = recorded("s12-wbxml-mid-01-slow/01-req.wbxml");
    std::fs::copy(message, place.join("message.wbxml")).unwrap();
    let message = recorded("s12-xml-basic-01-slow/01-req.xml");
    std::fs::copy(message, place.join("message.xml")).unwrap();

    let mut seen = 0;
    let mut proxies = Vec::new();
    for line in blocks(&readme, "sh").into_iter().flat_map(str::lines) {
        seen += 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            // This is it.
            ["cargo", "test"] => {}
            ["cargo", "run", "--release", "--", arguments @ ..] => {
                run_in(place, arguments).await.succeeds();
            }
            ["wapbridge", "serve", "--config", "wapbridge.toml"] => {
                gateway.line(" ready").await;
            }
            // It runs until it is stopped.
            ["wapbridge", "proxy", arguments @ ..] => {
                let air = gateway.air.to_string();
                let (child, address) = proxy(arguments, &air);
                proxies.push((Running(child), address));
            }
            ["curl", "--proxy", _, uri] => {
                let (_, address) = proxies.last().unwrap();
                let reply = http_get(*address, uri).await;
                assert!(reply.starts_with("HTTP/1.1 200"), "{line}: {reply}");
            }
            ["wapbridge", arguments @ ..] => {
                let air = gateway.air.to_string();
                let arguments: Vec<&str> = arguments
                    .iter()
                    .map(|word| if *word == "localhost" { &*air } else { word })
                    .collect();
                run_in(place, &arguments).await.succeeds();
            }
            ["curl", uri] => {
                let path = uri.strip_prefix("http://127.0.0.1:9280").unwrap();
                let reply = http_get(gateway.admin, path).await;
                assert!(reply.starts_with("HTTP/1.1 200"), "{line}: {reply}");
            }
            _ => panic!("nothing runs this: {line}"),
        }
    }
    assert!(seen >= 14, "only {seen} commands");
}

/// A program that runs until this is dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a proxy as the README has it, but for the gateway's address and its own.
fn proxy(arguments: &[&str], air: &str) -> (std::process::Child, SocketAddr) {
    let here = arguments.iter().map(|word| match *word {
        "localhost" => air,
        "127.0.0.1:8080" => "127.0.0.1:0",
        word => word,
    });
    let mut child = command()
        .arg("proxy")
        .args(here)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let address = line.split(['/', ' ']).nth(3).unwrap();
    (child, address.parse().unwrap())
}

#[test]
fn the_files_the_readme_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut seen = 0;
    for name in readme.split('`').skip(1).step_by(2) {
        let prefixes = ["deploy/", "tests/", "fixtures/", ".ci/"];
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            assert!(root.join(name).exists(), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}
