//! The access log's own file, and log lines that are not read.

use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::gateway::{Gateway, PROGRAM, configuration};
use super::now;
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

/// The longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// The lines of a file, once there are so many.
fn lines(path: &std::path::Path, count: usize) -> Vec<String> {
    let deadline = now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count || now() > deadline {
            assert_eq!(lines.len(), count, "{text}");
            return lines;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_log_that_was_moved_is_created_again() {
    let authority = new_authority("access");
    let port = echo(&authority, "a");
    let file = format!(
        "{}[log]\naccess = \"access.log\"\n",
        configuration("127.0.0.1:0", port)
    );
    let gateway = Gateway::start("access", &file, &authority.pem());
    let (log, moved) = (gateway.file("access.log"), gateway.file("access.log.1"));
    assert_eq!(gateway.get(), "a");
    assert_eq!(lines(&log, 1).len(), 1);
    for (round, signal) in ["USR1", "HUP"].into_iter().enumerate() {
        std::fs::rename(&log, &moved).unwrap();
        assert_eq!(gateway.get(), "a");
        // Until a signal comes, the gateway writes to the old file.
        let old = lines(&moved, 2);
        assert!(old[1].contains("status=200"), "{old:?}");
        gateway.signal(signal);
        while !log.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(gateway.get(), "a", "round {round}");
        assert_eq!(lines(&log, 1).len(), 1);
    }
}

#[test]
fn each_line_is_a_message_for_a_syslog_server() {
    let authority = new_authority("access");
    let port = echo(&authority, "a");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    unix.set_read_timeout(Some(PATIENCE)).unwrap();
    let over_udp = format!("server={},facility=local3", udp.local_addr().unwrap());
    let over_unix = format!("server=unix:{},tag=gw", path.display());
    for (server, head, name) in [
        (over_udp, "<158>1 20", " wapbridge "),
        (over_unix, "<190>", " gw["),
    ] {
        let file = format!(
            "{}[log]\naccess = \"syslog:{server}\"\naccess_sample = 3\n",
            configuration("127.0.0.1:0", port)
        );
        let gateway = Gateway::start("syslog", &file, &authority.pem());
        // Each is a handset of its own, and the kernel chooses the shard.
        for _ in 0..10 {
            assert_eq!(gateway.get(), "a");
        }
        assert_eq!(gateway.get_from("http://unknown.example/", &[]), "403");
        let (mut logged, mut refused) = (0, false);
        while !refused {
            let mut received = [0; 2000];
            let len = match head {
                "<190>" => unix.recv(&mut received),
                _ => udp.recv(&mut received),
            };
            let message = std::str::from_utf8(&received[..len.unwrap()]).unwrap();
            assert!(
                message.starts_with(head) && message.contains(name) && !message.ends_with('\n'),
                "{message}"
            );
            refused = message.contains(" exchange peer=") && message.contains(" status=403 ");
            assert!(refused || message.contains(" status=200 "), "{message}");
            logged += 1;
        }
        assert!(
            (1..=7).contains(&logged),
            "one in three and the refusal: {logged}"
        );
    }
}

#[test]
fn handsets_are_served_while_standard_error_is_not_read() {
    let authority = new_authority("access");
    let port = echo(&authority, "a");
    let directory = tempfile::tempdir().unwrap();
    let file = configuration("127.0.0.1:0", port) + "[log]\nlevel = \"trace\"\n";
    std::fs::write(directory.path().join("wapbridge.toml"), file).unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
    let process = Command::new(PROGRAM)
        .args(["serve", "--config"])
        .arg(directory.path().join("wapbridge.toml"))
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Ended(process);
    let mut stderr = BufReader::new(process.0.stderr.take().unwrap());
    let mut said = String::new();
    while !said.trim_end().ends_with("ready") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let address = said.split("WSP over WTP address=").nth(1).unwrap();
    let address = address.lines().next().unwrap();
    // From here on the pipe is not read. There are some lines for every datagram, and the pipe
    // holds 64 KiB.
    for _ in 0..300 {
        let output = Command::new(PROGRAM)
            .args(["get", "--quiet", "--timeout", "20", "--gateway", address])
            .arg("http://sync.example/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    process.0.kill().unwrap();
    let mut rest = Vec::new();
    stderr.read_to_end(&mut rest).unwrap();
    // A page of it takes no more than what fits whole.
    assert!(
        rest.len() >= 32_768,
        "{} octets are no full pipe",
        rest.len()
    );
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
