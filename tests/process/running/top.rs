//! `wapbridge top`: the figures of a gateway in the terminal.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

use super::gateway::{Gateway, PROGRAM, configuration};
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

fn gateway(name: &str, more: &str) -> Gateway {
    let authority = new_authority(name);
    let port = echo(&authority, "hello");
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\n{more}");
    let configuration =
        configuration("127.0.0.1:0", port).replace("[admin]\nlisten = []\n", &admin);
    Gateway::start(name, &configuration, &authority.pem())
}

fn top(admin: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg("top")
        .args(["--admin", &format!("http://{admin}")])
        .args(arguments)
        .env("COLUMNS", "120")
        .env_remove("WAPBRIDGE_TOKEN_FILE");
    command
}

fn text(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A load of its own pace, until it is stopped.
struct Load(std::process::Child);

impl Load {
    fn on(gateway: &Gateway) -> Self {
        let child = Command::new(PROGRAM)
            .args(["bench", "--gateway", &gateway.address])
            .args(["--handsets=10", "--rate=40", "--sessions=5"])
            .args(["--duration=600", "http://sync.example/"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that leads to another one, which may change.
fn door(to: &str) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let leads_to = Arc::new(Mutex::new(to.to_owned()));
    let to = Arc::clone(&leads_to);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let to = to.lock().unwrap().clone();
            if let Ok(server) = TcpStream::connect(to) {
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                for (mut from, mut to) in [(client, server), back] {
                    std::thread::spawn(move || {
                        // Either end may go away at any time.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        }
    });
    (address, leads_to)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_gateway_at_work_is_shown_to_machines_and_to_people() {
    let gateway = gateway("top", "");
    let _load = Load::on(&gateway);
    let mut watching = top(&gateway.admin, &["--json", "--interval=1s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    // Until the load is up, which takes as long as it takes.
    let mut figures = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let is_up = |figures: &Value| {
        let rate = &figures["exchanges"]["per_second"];
        number(&figures["sessions"]["held"]) >= 15.0 && rate.as_f64() > Some(20.0)
    };
    let seen = figures.by_ref().take(60).find(is_up).unwrap();
    watching.kill().unwrap();
    watching.wait().unwrap();

    assert_eq!(seen["state"], "running");
    let exchanges = &seen["exchanges"];
    assert!(
        number(&exchanges["connection_mode_per_second"]) > 20.0,
        "{seen}"
    );
    assert!(
        number(&exchanges["connectionless_per_second"]) < 0.001,
        "{seen}"
    );
    let latency = |name| number(&exchanges["latency_seconds"][name]);
    assert!(
        latency("p50") > 0.0 && latency("p50") <= latency("p99"),
        "{seen}"
    );
    assert!(
        number(&seen["targets"][0]["answered_per_second"]) > 10.0,
        "{seen}"
    );
    // The kernel chooses the shard of each handset.
    let shards = seen["shards"].as_array().unwrap().iter();
    let datagrams: f64 = shards
        .map(|shard| number(&shard["datagrams_in_per_second"]))
        .sum();
    assert!(datagrams > 20.0, "{seen}");
    assert_eq!(
        number(&seen["tables"]["sessions"]["used"]).to_string(),
        "15"
    );

    let frame = text(top(&gateway.admin, &["--interval=1s"]).output().unwrap());
    let words = |start: &str| {
        let line = frame.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("{start} in\n{frame}"));
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words("wapbridge")[2], "running");
    assert_eq!(words("sessions")[1], "15");
    assert!(
        words("exchanges")[1].parse::<f64>().unwrap() > 10.0,
        "{frame}"
    );
    assert_eq!(words("localhost:")[1], "answering");
    assert!(!frame.contains('\x1b'), "{frame}");
}

#[test]
fn what_goes_wrong_is_told_by_cause_and_a_restart_is_no_nonsense() {
    let mut gateway = gateway("top_errors", "");
    assert_eq!(gateway.get_from("http://elsewhere.example/", &[]), "403");
    // One address for both processes.
    let (address, leads_to) = door(&gateway.admin);
    let mut watching = top(&address, &["--json", "--interval=1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut figures = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let before = figures.next().unwrap();
    let told = before["errors"].as_array().unwrap();
    let error = told.iter().find(|error| error["cause"] == "no_route");
    assert_eq!(error.unwrap()["total"], 1.0, "{before}");
    assert_eq!(before["restarted"], false);

    gateway.restart();
    leads_to.lock().unwrap().clone_from(&gateway.admin);
    let after = figures
        .find(|figures| figures["restarted"] == true)
        .unwrap();
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(after["exchanges"]["per_second"], Value::Null);
    assert_eq!(after["errors"].as_array().unwrap().len(), 0, "{after}");
    let later = figures.next().unwrap();
    assert_eq!(later["restarted"], false);
    assert_eq!(later["exchanges"]["per_second"], 0.0, "{later}");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn who_cannot_be_reached_is_told_with_a_remedy() {
    let token = "0123456789abcdef0123456789abcdef";
    let more = format!("token = \"{token}\"\nreads_need_token = true\n");
    let gateway = gateway("top_locked", &more);
    let locked = top(&gateway.admin, &["--once"]).output().unwrap();
    let said = String::from_utf8(locked.stderr).unwrap();
    assert_eq!(locked.status.code(), Some(1));
    assert!(said.contains("--token-file"), "{said}");
    gateway.write("token", token);
    let file = gateway.path("token");
    let option = ["--token-file", file.to_str().unwrap()];
    let arguments = [&option[..], &["--count=2", "--interval=1s"]].concat();
    let frames = text(top(&gateway.admin, &arguments).output().unwrap());
    assert_eq!(frames.matches("running").count(), 2, "{frames}");

    let nobody = Command::new(PROGRAM)
        .args(["top", "--once", "--admin", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said.contains("is the gateway running"), "{said}");
    assert!(nobody.stdout.is_empty());
}

/// The output to a terminal.
fn output(mut terminal: File) -> mpsc::Receiver<String> {
    let (tell, output) = mpsc::channel();
    std::thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(len) = terminal.read(&mut some) {
            let _ = tell.send(String::from_utf8_lossy(&some[..len]).into_owned());
        }
    });
    output
}

/// Waits until the screen shows these words.
fn until(output: &mpsc::Receiver<String>, shown: &mut String, words: &str) {
    while !shown.contains(words) {
        let more = output.recv_timeout(Duration::from_secs(30));
        *shown += &more.unwrap_or_else(|_| panic!("no {words:?} in {shown:?}"));
    }
}

fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args([format!("-{name}"), pid.to_string()]);
    assert!(kill.status().unwrap().success());
}

#[test]
fn a_terminal_is_drawn_over_and_given_back() {
    let gateway = gateway("top_terminal", "");
    let address = gateway.admin.clone();
    let mut gateway = Some(gateway);
    for end in ["INT", "TERM", "QUIT", "\x03", "q"] {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let (rows, columns) = (20, 90);
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&theirs, size).unwrap();
        // The pseudo-terminal is the controlling one, whatever terminal the tests have.
        let mut process = Command::new("setsid")
            .args(["--ctty", PROGRAM, "top", "--interval=1s", "--admin"])
            .arg(format!("http://{address}"))
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env_remove("WAPBRIDGE_TOKEN_FILE")
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut terminal = File::from(ours);
        let output = output(terminal.try_clone().unwrap());
        let mut shown = String::new();
        until(&output, &mut shown, "exchanges");
        assert!(shown.starts_with("\x1b[?1049h"), "{shown:?}");
        let keyboard = || tcgetattr(&theirs).unwrap().local_modes;
        assert!(!keyboard().intersects(LocalModes::ICANON | LocalModes::ECHO));

        if end == "INT" {
            // Ctrl-Z gives the terminal back until the process goes on.
            terminal.write_all(b"\x1a").unwrap();
            until(&output, &mut shown, "\x1b[?1049l");
            let stat = format!("/proc/{}/stat", process.id());
            while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(keyboard().contains(LocalModes::ICANON | LocalModes::ECHO));
            shown.clear();
            signal(process.id(), "CONT");
            until(&output, &mut shown, "exchanges");
            assert!(!keyboard().intersects(LocalModes::ICANON | LocalModes::ECHO));
        }
        if end == "q" {
            // A gateway that goes away is waited for.
            drop(gateway.take());
            until(&output, &mut shown, "trying again");
        }
        match end {
            "q" | "\x03" => terminal.write_all(end.as_bytes()).unwrap(),
            name => signal(process.id(), name),
        }
        until(&output, &mut shown, "\x1b[?1049l");
        assert!(process.wait().unwrap().success());
        assert!(keyboard().contains(LocalModes::ICANON | LocalModes::ECHO));
        // Cells are addressed as row;column, and no row is below the last one.
        let row = |command: &str| {
            let (row, column) = command.split_once('H')?.0.split_once(';')?;
            column.parse::<u16>().ok()?;
            row.parse::<u16>().ok()
        };
        let lowest = shown.split("\x1b[").filter_map(row).max().unwrap();
        assert!((10..=rows).contains(&lowest), "{lowest} {shown:?}");
    }
}
