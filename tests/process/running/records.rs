//! Charging records while the gateway is killed, while files are rotated, and while the disk is
//! full.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::gateway::{PROGRAM, configuration};
use super::now;
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

/// A gateway that keeps records, started by a shell that may prepare its limits.
struct Recorded {
    directory: tempfile::TempDir,
    shell: &'static str,
    process: Option<Child>,
    log: std::sync::mpsc::Receiver<String>,
    address: String,
}

impl Recorded {
    fn start(shell: &'static str, records: &str) -> Self {
        let authority = new_authority("records");
        let port = echo(&authority, "a");
        let directory = tempfile::tempdir().unwrap();
        let text = configuration("127.0.0.1:0", port)
            + "[log]\naccess = \"off\"\n[records]\npath = \"records/r.jsonl\"\nnode = \"n\"\n"
            + records;
        std::fs::write(directory.path().join("wapbridge.toml"), text).unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        let (_, log) = std::sync::mpsc::channel();
        let mut gateway = Self {
            directory,
            shell,
            process: None,
            log,
            address: String::new(),
        };
        gateway.run();
        gateway
    }

    fn run(&mut self) {
        let mut process = Command::new("sh")
            .arg("-c")
            .arg(format!("{} exec \"$0\" serve", self.shell))
            .arg(PROGRAM)
            .current_dir(self.directory.path())
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (tell, log) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        self.process = Some(process);
        self.log = log;
        let listening = self.says("listening for WSP over WTP");
        self.address = listening.split("address=").nth(1).unwrap().to_owned();
        self.says(" ready");
    }

    fn says(&self, words: &str) -> String {
        loop {
            let line = self.log.recv_timeout(Duration::from_secs(30)).expect(words);
            if line.contains(words) {
                return line;
            }
        }
    }

    fn pid(&self) -> String {
        self.process.as_ref().unwrap().id().to_string()
    }

    /// kill -9.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Lets running exchanges finish.
    fn drain(&mut self) {
        let mut process = self.process.take().unwrap();
        let sent = Command::new("kill").arg(process.id().to_string()).status();
        assert!(sent.unwrap().success());
        assert!(process.wait().unwrap().success());
    }

    /// SIGTERM twice: the gateway stops at once and writes its records.
    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let pid = process.id().to_string();
        for _ in 0..2 {
            let sent = Command::new("kill").arg(&pid).status().unwrap();
            assert!(sent.success());
            if self.log.recv_timeout(Duration::from_secs(5)).is_err() {
                break;
            }
        }
        assert!(process.wait().unwrap().success());
    }

    fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.directory.path().join("records"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
            .collect()
    }

    /// By URI, the causes of the records, after `wapbridge records verify` found no fault.
    fn records(&self) -> HashMap<String, Vec<String>> {
        let files = self.files();
        let output = Command::new(PROGRAM)
            .args(["records", "verify"])
            .args(&files)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for line in files.iter().flat_map(|file| lines(file)) {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            found.entry(text("uri")).or_default().push(text("cause"));
        }
        found
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks as a handset would; whether it was answered.
fn get(address: &str, uri: &str) -> bool {
    Command::new(PROGRAM)
        .args([
            "get",
            "--quiet",
            "--timeout",
            "5",
            "--gateway",
            address,
            uri,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A handset that is given its answer and never acknowledges it; the socket, so that it stays there.
fn silent(address: &str, uri: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut buffer = [0; 2048];
    // An unknown handset has to verify its transaction; the answer is an Ack with TIDok.
    let mut result = |tid: u8| loop {
        let len = socket.recv(&mut buffer).unwrap();
        let heard = buffer[..len].to_vec();
        match heard[0] {
            0x1c => socket.send(&[0x1c, 0x00, tid]).map(|_| ()).unwrap(),
            0x18 => {}
            _ => return heard,
        }
    };
    // Invoke of class 2 with Connect; its result is acknowledged. Then one with Get, whose result is not.
    socket
        .send(&[0x0a, 0x00, 0x01, 0x12, 0x01, 0x10, 0x00, 0x00])
        .unwrap();
    assert_eq!(result(1)[3], 0x02, "ConnectReply");
    socket.send(&[0x18, 0x00, 0x01]).unwrap();
    let mut get = vec![
        0x0a,
        0x00,
        0x02,
        0x12,
        0x40,
        u8::try_from(uri.len()).unwrap(),
    ];
    get.extend(uri.as_bytes());
    socket.send(&get).unwrap();
    assert_eq!(result(2)[3..5], [0x04, 0x20], "Reply 200");
    socket
}

/// Whether the load is over.
struct Over(AtomicBool);

/// Ends the load, also when the test fails.
struct End<'a>(&'a Over);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// The gateway is killed three times under load, with files rotated all the time: records of
/// transactions that were answered more than a second before are present, and no record is doubled.
#[test]
fn kill_loses_no_record_and_doubles_none() {
    let mut gateway = Recorded::start("", "rotate_size = \"4KiB\"\nrotate_every = \"1s\"\n");
    let answered: Mutex<Vec<(String, Instant)>> = Mutex::default();
    let mut owed = Vec::new();
    let mut silent_ones = Vec::new();
    let asked = AtomicUsize::new(0);
    for round in 0..4 {
        let over = Over(AtomicBool::new(false));
        let over = &over;
        let address = gateway.address.clone();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !over.0.load(Ordering::Relaxed) {
                        let number = asked.fetch_add(1, Ordering::Relaxed);
                        let uri = format!("http://sync.example/{round}/{number}");
                        if get(&address, &uri) {
                            answered.lock().unwrap().push((uri, now()));
                        }
                    }
                });
            }
            let end = End(over);
            for number in 0..5 {
                let uri = format!("http://sync.example/{round}/silent-{number}");
                let socket = silent(&address, &uri);
                silent_ones.push((socket, uri.clone()));
                answered.lock().unwrap().push((uri, now()));
            }
            std::thread::sleep(Duration::from_millis(1_600));
            if round < 3 {
                let kill = Command::new("kill").args(["-9", &gateway.pid()]).status();
                assert!(kill.unwrap().success());
            }
            let killed = now();
            drop(end);
            let answered = std::mem::take(&mut *answered.lock().unwrap());
            let in_time = |at: Instant| round == 3 || killed - at > Duration::from_secs(1);
            owed.extend(
                answered
                    .into_iter()
                    .filter(|(_, at)| in_time(*at))
                    .map(|(uri, _)| uri),
            );
        });
        answered.lock().unwrap().clear();
        if round < 3 {
            gateway.kill();
            gateway.run();
        }
    }
    gateway.stop();
    let records = gateway.records();
    assert!(owed.len() > 30, "{}", owed.len());
    for uri in &owed {
        assert_eq!(records.get(uri).map(Vec::len), Some(1), "{uri}");
    }
    for (uri, causes) in &records {
        assert_eq!(causes.len(), 1, "{uri}: {causes:?}");
    }
    for (_, uri) in &silent_ones {
        assert_eq!(records[uri], ["interrupted"], "{uri}");
    }
    assert!(
        gateway.files().len() > 8,
        "they were rotated: {:?}",
        gateway.files()
    );
}

/// The disk accepts no octets for a while: handsets are served, and afterwards every record is
/// present.
#[test]
fn a_full_disk_costs_nothing_while_there_is_room_to_wait() {
    // A file may have 8 blocks; more is refused, as by a full disk, instead of a signal.
    let mut gateway = Recorded::start("trap '' XFSZ; ulimit -S -f 8;", "");
    let mut asked = 0;
    let mut ask = |gateway: &Recorded| {
        let uri = format!("http://sync.example/{asked}");
        assert!(get(&gateway.address, &uri), "{uri}");
        asked += 1;
    };
    for _ in 0..15 {
        ask(&gateway);
    }
    gateway.says("charging records cannot be written");
    for _ in 0..5 {
        ask(&gateway);
    }
    let room = Command::new("prlimit")
        .args(["--fsize=unlimited:unlimited", "--pid", &gateway.pid()])
        .status();
    assert!(room.unwrap().success());
    gateway.says("charging records are written again");
    ask(&gateway);
    gateway.stop();
    let records = gateway.records();
    for number in 0..asked {
        let uri = format!("http://sync.example/{number}");
        assert_eq!(records[&uri], ["acknowledged"], "{uri}");
    }
}

#[test]
fn records_may_be_csv_and_are_for_the_operator_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut gateway = Recorded::start("", "format = \"csv\"\n");
    assert!(get(&gateway.address, "http://sync.example/a?secret=1"));
    gateway.drain();
    let files = gateway.files();
    assert_eq!(files.len(), 1);
    let mode = std::fs::metadata(&files[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.starts_with("v,seq,id,node,cause,"), "{text}");
    assert!(
        text.contains(",\"http://sync.example/a?…\",") && !text.contains("secret"),
        "{text}"
    );
    let verified = Command::new(PROGRAM)
        .args(["records", "verify"])
        .arg(&files[0])
        .output()
        .unwrap();
    assert!(verified.status.success());
    assert!(String::from_utf8_lossy(&verified.stdout).contains("acknowledged: 1 records"));
    // Cut a line off the end: it is found.
    std::fs::write(&files[0], &text[..text.len() - 3]).unwrap();
    let verified = Command::new(PROGRAM)
        .args(["records", "verify"])
        .arg(&files[0])
        .output()
        .unwrap();
    assert!(!verified.status.success());
    assert!(String::from_utf8_lossy(&verified.stdout).contains("DAMAGED"));
}
