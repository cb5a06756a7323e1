//! The commands in the README work.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::process::{Gateway, recorded, run_in};
use crate::support::certificate::ca_file;
use crate::support::origin::{Origin, http_get};

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
    let mut proxy = None;
    let commands = readme.replace("\\\n", " ");
    for line in blocks(&commands, "sh").into_iter().flat_map(str::lines) {
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
            [
                "wapbridge",
                "proxy",
                "--gateway",
                _,
                "--listen",
                _,
                impairments @ ..,
                "&",
            ] => {
                let air = gateway.air.to_string();
                let own = ["proxy", "--gateway", &air, "--listen", "127.0.0.1:0"];
                proxy = Some(Proxy::start(&[&own, impairments].concat()));
            }
            ["curl", "--proxy", "http://127.0.0.1:8080", uri] => {
                let proxy = proxy.as_ref().expect("the proxy was started before");
                let reply = http_get(proxy.address, uri).await;
                assert!(reply.starts_with("HTTP/1.1 200"), "{line}: {reply}");
            }
            // The notification itself; pushes to a gateway have tests of their own.
            ["wapbridge", "push", arguments @ ..] => {
                std::fs::write(place.join("sync.password"), "secret\n").unwrap();
                let (client, arguments) = arguments.split_last().unwrap();
                assert!(client.starts_with('+'), "{line}");
                let arguments = [&["push"], arguments, &["-o", "notification"]].concat();
                run_in(place, &arguments).await.succeeds();
                assert!(place.join("notification").metadata().unwrap().len() > 20);
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

/// `wapbridge proxy`, until it is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wapbridge"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut first).unwrap();
        let address = first
            .split([' ', '/'])
            .find_map(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no address in {first}"));
        Self { child, address }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
