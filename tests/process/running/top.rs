//! `wapbridge top`: the figures of a gateway in the terminal.

use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::gateway::{Gateway, PROGRAM, configuration};
use super::terminal::{Terminal, signal};
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

#[test]
fn a_terminal_is_drawn_over_and_given_back() {
    let gateway = gateway("top_terminal", "");
    let address = gateway.admin.clone();
    let mut gateway = Some(gateway);
    for end in ["INT", "TERM", "QUIT", "\x03", "q"] {
        let (rows, columns) = (20, 90);
        let mut terminal = Terminal::open(rows, columns);
        // The pseudo-terminal is the controlling one, whatever terminal the tests have.
        let mut process = Command::new("setsid")
            .args(["--ctty", PROGRAM, "top", "--interval=1s", "--admin"])
            .arg(format!("http://{address}"))
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env_remove("WAPBRIDGE_TOKEN_FILE")
            .stdin(terminal.end())
            .stdout(terminal.end())
            .spawn()
            .unwrap();
        terminal.until("exchanges");
        let shown = &terminal.shown;
        assert!(shown.starts_with("\x1b[?1049h"), "{shown:?}");
        assert!(terminal.is_raw());

        if end == "INT" {
            // Ctrl-Z gives the terminal back until the process goes on.
            terminal.press("\x1a");
            terminal.until("\x1b[?1049l");
            let stat = format!("/proc/{}/stat", process.id());
            while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            assert!(terminal.is_given_back());
            terminal.shown.clear();
            signal(process.id(), "CONT");
            terminal.until("exchanges");
            assert!(terminal.is_raw());
        }
        if end == "q" {
            // A gateway that goes away is waited for.
            drop(gateway.take());
            terminal.until("trying again");
        }
        match end {
            "q" | "\x03" => terminal.press(end),
            name => signal(process.id(), name),
        }
        terminal.until("\x1b[?1049l");
        assert!(process.wait().unwrap().success());
        assert!(terminal.is_given_back());
        let (lowest, shown) = (terminal.lowest_row(), &terminal.shown);
        assert!((10..=rows).contains(&lowest), "{lowest} {shown:?}");
    }
}
