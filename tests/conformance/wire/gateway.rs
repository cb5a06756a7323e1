//! The program under test, with its shipped defaults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::origin::Origin;
use crate::script::Port;
use crate::support::certificate::ca_file;

/// A running gateway; it ends with its owner.
pub(crate) struct Gateway {
    process: Child,
    connection_mode: SocketAddr,
    connectionless: SocketAddr,
    /// Where it listens for initiators of pushes.
    initiators: Option<SocketAddr>,
    directory: PathBuf,
}

impl Gateway {
    /// Starts a gateway in front of an origin. Nothing is set but addresses, a route, the
    /// authority, and the network of the handsets, as OPERATIONS advises.
    ///
    /// `pushes`: an initiator may push to the client as well, which nobody may by default.
    pub(crate) fn start(origin: &Origin, pushes: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("wire-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let configuration = format!(
            "[listen]\nconnection_mode = \"127.0.0.1:0\"\nconnectionless = \"127.0.0.1:0\"\n\
             [admin]\nlisten = []\n\
             [protection]\nallow = [\"127.0.0.0/8\"]\n\
             [tls]\nca_file = {:?}\n\
             [[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://localhost:{}/\"\n",
            ca_file(),
            origin.port()
        ) + if pushes { PUSH } else { "" };
        let file = directory.join("wapbridge.toml");
        std::fs::write(&file, configuration).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_wapbridge"))
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut addresses = Vec::new();
        let mut initiators = None;
        loop {
            let line = lines.next().expect("the gateway starts").unwrap();
            if line.contains("listening for ") {
                let address = line.split("address=").nth(1).expect("an address");
                if line.contains("push initiators") {
                    initiators = Some(address.trim().parse().unwrap());
                    continue;
                }
                addresses.push((line.contains("over WTP"), address.trim().parse().unwrap()));
            }
            if line.ends_with(" ready") {
                break;
            }
        }
        // A pipe that nobody reads would stop the gateway.
        std::thread::spawn(move || lines.for_each(drop));
        let of = |wanted| {
            addresses
                .iter()
                .find(|(over_wtp, _)| *over_wtp == wanted)
                .unwrap()
                .1
        };
        Self {
            process,
            connection_mode: of(true),
            connectionless: of(false),
            initiators,
            directory,
        }
    }

    pub(crate) fn address(&self, port: Port) -> SocketAddr {
        match port {
            Port::ConnectionMode => self.connection_mode,
            Port::Connectionless => self.connectionless,
        }
    }

    /// The port that a datagram came from.
    pub(crate) fn port(&self, from: SocketAddr) -> Option<Port> {
        [Port::ConnectionMode, Port::Connectionless]
            .into_iter()
            .find(|port| self.address(*port) == from)
    }

    /// Has an initiator push a text to the client's address; the error is the answer.
    pub(crate) fn push(&self, method: &str, body: &str) -> Result<(), String> {
        let body = format!(
            "--x\r\nContent-Type: application/xml\r\n\r\n<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \
             \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\"><pap><push-message \
             push-id=\"1\"><address address-value=\"WAPPUSH=127.0.0.1/TYPE=IPv4@gw\"/><quality-of-service \
             delivery-method=\"{method}\"/></push-message></pap>\r\n\
             --x\r\nContent-Type: text/plain\r\n\r\n{body}\r\n--x--\r\n"
        );
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dGVzdDpvcGVuIHNlc2FtZSAxMjM0NQ==\r\n\
             Content-Type: multipart/related; boundary=x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let initiators = self.initiators.expect("a gateway that pushes");
        let mut stream = TcpStream::connect(initiators).unwrap();
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        match answer.contains("code=\"1001\"") {
            true => Ok(()),
            false => Err(answer),
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The process may have ended already, by a signal of the scenario.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Who may push: the test, to clients on loopback.
const PUSH: &str = "[push]\nlisten = \"127.0.0.1:0\"\n[[push.initiator]]\nname = \"test\"\nuser = \"test\"\n\
                    password = \"open sesame 12345\"\ntargets = [\"127.0.0.0/8\"]\n";
