//! The admin port of a running gateway.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process::{Gateway, configuration, run, run_in, spawn};
use crate::support::origin::Origin;

/// One request by hand: the status and the body.
pub(crate) async fn ask(address: SocketAddr, request: &str, body: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    tcp.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The same, for an answer in JSON.
pub(crate) async fn json(address: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(address, &format!("GET {path}"), "").await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A configuration with a token.
fn with_token(origin: &Origin, more: &str) -> String {
    let token = format!("[admin]\ntoken = \"{TOKEN}\"\n");
    configuration(&origin.uri(), more).replace("[admin]\n", &token)
}

pub(crate) const TOKEN: &str = "a-token-of-this-test";

#[tokio::test]
async fn sessions_are_listed_a_page_at_a_time() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    assert_eq!(
        json(gateway.admin, "/sessions").await,
        serde_json::json!({"sessions": [], "next": null})
    );
    let option = gateway.option();
    let held = ["get", &option, "http://sync.example.com/hold"];
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(spawn(Path::new("."), &held, b""));
    }
    origin.wait(|state| state.heard.len() == 3).await;

    let all = json(gateway.admin, "/sessions?address=127.0.0.1&state=connected").await;
    let sessions = all["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3, "{all}");
    let first = &sessions[0];
    assert_eq!(first["methods"], 1);
    assert_eq!(first["local"], gateway.air.to_string());
    assert!(first["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(first["idle_seconds"].as_f64().unwrap() < 60.0);
    assert_eq!(first["headers"], Value::Null);

    let mut ids = Vec::new();
    let mut path = "/sessions?limit=1".to_owned();
    for _ in 0..3 {
        let page = json(gateway.admin, &path).await;
        assert_eq!(page["sessions"].as_array().unwrap().len(), 1);
        ids.push(page["sessions"][0]["session"].clone());
        path = format!(
            "/sessions?limit=1&cursor={}",
            page["next"].as_str().unwrap_or("9-0")
        );
    }
    let listed: Vec<_> = sessions
        .iter()
        .map(|session| session["session"].clone())
        .collect();
    assert_eq!(ids, listed);

    for nobody in ["?address=192.0.2.1", "?state=SUSPENDED", "?cursor=9-0"] {
        let page = json(gateway.admin, &format!("/sessions{nobody}")).await;
        assert_eq!(page["sessions"], serde_json::json!([]), "{nobody}");
    }
    for wrong in ["?cursor=x", "?limit=x", "?adress=192.0.2.1"] {
        let (status, _) = ask(gateway.admin, &format!("GET /sessions{wrong}"), "").await;
        assert_eq!(status, 400, "{wrong}");
    }
    origin.release();
    for one in under_way {
        one.await.unwrap().succeeds();
    }
}

#[tokio::test]
async fn history_has_the_figures_of_a_load_that_is_over() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    let option = gateway.option();
    let hello = ["get", &option, "http://sync.example.com/hello"];
    run(&hello).await.succeeds();
    // No route: the gateway answers by itself.
    let _ = run(&["get", &option, "http://nowhere.example/"]).await;
    let seen = |part: &Value, name: &str| {
        let values = part["series"][name].as_array().unwrap().clone();
        values
            .iter()
            .filter_map(Value::as_f64)
            .any(|value| value > 0.0)
    };
    // A sample is taken once a second, and some figures only by ten seconds.
    let history = loop {
        let history = json(gateway.admin, "/history").await;
        if seen(&history["tens"], "exchanges") && seen(&history["tens"], "problems") {
            break history;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let part = &history["seconds"];
    for name in [
        "exchanges",
        "p50",
        "p99",
        "upstream",
        "in",
        "out",
        "problems",
    ] {
        assert!(seen(part, name), "{name}: {part}");
    }
    let moments = part["at"].as_array().unwrap();
    let length = |name: &str| part["series"][name].as_array().unwrap().len();
    assert_eq!(length("sessions"), moments.len());
    assert!(moments.len() > 5 && moments.is_sorted_by_key(|at| at.as_f64().unwrap().to_bits()));
    let now = history["now"].as_f64().unwrap();
    let started = history["started"].as_f64().unwrap();
    assert!(started < now && now - started < 600.0, "{started} {now}");
    assert!(moments[0].as_f64().unwrap() >= started - 0.1, "{history}");
    let causes = &history["problems"]["causes"];
    assert!(
        causes["no_route"]["remedy"]
            .as_str()
            .unwrap()
            .contains("[[route]]")
    );

    let (status, section) = ask(gateway.admin, "GET /operations?section=the-page", "").await;
    assert_eq!(status, 200);
    assert!(section.starts_with("The page\n"), "{section}");
    let (status, _) = ask(gateway.admin, "GET /operations?section=../etc", "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn status_tells_how_the_gateway_is() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    let option = gateway.option();
    run(&["get", &option, "http://sync.example.com/hello"])
        .await
        .succeeds();
    let status = loop {
        let status = json(gateway.admin, "/status").await;
        // Shards show what they count once a second.
        if status["routes"][0]["exchanges"] == 1 {
            break status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(status["node"], host.trim());
    assert_eq!(status["state"], "running");
    assert!(
        status["uptime_seconds"].as_f64().unwrap() < 600.0,
        "{status}"
    );
    // Which of the shards was asked is the kernel's choice.
    let shards = status["shards"].as_array().unwrap();
    let heard = |shard: &Value| shard["datagrams_in"].as_u64().unwrap();
    assert!(shards.iter().map(heard).sum::<u64>() > 1, "{status}");
    let age = |shard: &Value| shard["heartbeat_age_seconds"].as_f64().unwrap();
    assert!(shards.iter().all(|shard| age(shard) < 60.0), "{status}");
    for table in [
        "sessions",
        "transactions",
        "upstream_in_flight",
        "exchange_bytes",
        "early_methods",
        "claims",
        "watched_addresses",
        "upstream_connections",
    ] {
        let table = &status["tables"][table];
        assert!(table["limit"].as_u64().unwrap() > table["used"].as_u64().unwrap());
    }
    let route = &status["routes"][0];
    assert_eq!(route["name"], "1");
    assert_eq!(route["upstream_errors"], 0);
    assert_eq!(route["hosts"][0], status["targets"][0]["host"]);
    assert_eq!(status["targets"][0]["condition"], "answering");
    assert_eq!(status["targets"][0]["answered"], 1);
    let certificate = &status["certificates"][0];
    assert_eq!(certificate["role"], "authority");
    assert!(certificate["file"].as_str().unwrap().ends_with(".pem"));
    assert!(
        certificate["days_left"].as_i64().unwrap() > 0,
        "{certificate}"
    );

    let (code, ready) = ask(gateway.admin, "GET /readyz?verbose", "").await;
    assert_eq!(code, 200);
    for line in [
        "[+]state running",
        "[+]shards ok",
        "answering",
        "readyz check passed",
    ] {
        assert!(ready.contains(line), "{line} in {ready}");
    }
    assert!(ready.contains("[+]certificate "), "{ready}");

    // Histograms are observed by a thread of their own.
    let metrics = loop {
        let (_, metrics) = ask(gateway.admin, "GET /metrics", "").await;
        if metrics.contains("wapbridge_exchange_duration_seconds_count 1\n") {
            break metrics;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    for line in [
        "wapbridge_route_exchanges_total{route=\"1\"} 1",
        "wapbridge_exchange_duration_seconds_count 1",
        "wapbridge_exchange_upstream_seconds_bucket{le=\"+Inf\"} 1",
        "wapbridge_shard_cpu_seconds_total{shard=\"0\"} ",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let up = format!(
        "wapbridge_target_up{{host={}}} 1",
        status["targets"][0]["host"]
    );
    assert!(metrics.contains(&up), "{up} in {metrics}");
}

#[tokio::test]
async fn the_configuration_in_force_is_shown_without_secrets() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    let (code, config) = ask(gateway.admin, "GET /config", "").await;
    assert_eq!(code, 200);
    let table: toml::Table = config.parse().unwrap();
    assert_eq!(table["admin"]["token"].as_str(), Some("***"));
    assert_eq!(table["log"]["level"].as_str(), Some("info"), "a default");
    assert_eq!(table["route"][0]["upstream"].as_str(), Some(&*origin.uri()));
    assert!(!config.contains(TOKEN));
}

#[tokio::test]
async fn what_is_changed_takes_effect_and_is_logged() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    let admin = gateway.admin;
    assert_eq!(
        ask(admin, "GET /log-level", "").await,
        (200, "info\n".into())
    );
    let option = gateway.option();
    for level in ["off", "info"] {
        let (code, shown) = ask(admin, "PUT /log-level", level).await;
        assert_eq!((code, shown), (200, format!("{level}\n")));
        assert_eq!(ask(admin, "PUT /state", "running").await.0, 200);
    }
    // Who changes something is told, unless nothing is.
    gateway.line("method=PUT path=\"/state\" status=200").await;
    assert_eq!(gateway.log().matches("path=\"/state\"").count(), 1);
    let (code, names) = ask(admin, "PUT /log-level", "loud").await;
    assert_eq!((code, names.contains("trace")), (400, true));

    assert_eq!(
        ask(admin, "GET /state", "").await,
        (200, "running\n".into())
    );
    assert_eq!(
        ask(admin, "PUT /state", "isolated\n").await,
        (200, "isolated\n".into())
    );
    assert_eq!(
        ask(admin, "GET /readyz", "").await,
        (503, "isolated\n".into())
    );
    assert_eq!(ask(admin, "PUT /state", "asleep").await.0, 400);
    assert_eq!(ask(admin, "PUT /state", "running").await.0, 200);

    let (code, report) = ask(admin, "POST /reload", "").await;
    assert_eq!(code, 200);
    assert_eq!(report, "{\"needs_restart\":[],\"reloaded\":true}");
    let file = gateway.directory.path().join("wapbridge.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\n[lgo]\n")).unwrap();
    let (code, report) = ask(admin, "POST /reload", "").await;
    assert_eq!(code, 422);
    assert!(report.contains("unknown section `lgo`"), "{report}");
    run(&["get", &option, "http://sync.example.com/hello"])
        .await
        .succeeds();

    // The token is one of the things a reload changes.
    std::fs::write(&file, good.replace(TOKEN, "another-word-of-ours")).unwrap();
    assert_eq!(ask(admin, "POST /reload", "").await.0, 200);
    assert_eq!(ask(admin, "POST /reload", "").await.0, 401);
    assert!(!gateway.log().contains(TOKEN));
}

/// `check --diff` compares a file with the settings of a running gateway.
#[tokio::test]
async fn check_shows_what_a_reload_would_change() {
    let origin = Origin::start().await;
    let store = "[store]\npath = \"state.redb\"\n";
    let gateway = Gateway::start(&with_token(&origin, store)).await;
    let admin = format!("http://{}", gateway.admin);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("admin.token"), TOKEN).unwrap();
    let diff = async |text: &str, json: bool| {
        let file = directory.path().join("new.toml");
        std::fs::write(&file, text).unwrap();
        let mut check = vec![
            "check",
            "--diff",
            "--admin",
            &admin,
            "--token-file",
            "admin.token",
        ];
        check.extend(json.then_some("--json"));
        check.push("new.toml");
        run_in(directory.path(), &check).await
    };
    let same = with_token(&origin, store);
    let shown = diff(&same, false).await.succeeds().text();
    assert!(shown.contains("a reload changes nothing"), "{shown}");
    let other = with_token(&origin, &format!("{store}[wsp]\nidle_timeout = \"1h\"\n"));
    let other = other.replacen("[listen]\n", "[listen]\nshards = 7\n", 1);
    let changes = async |text: &str| {
        let shown = diff(text, true).await.succeeds().text();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let changes = shown["changes"].as_array().unwrap().iter();
        changes
            .map(|change| {
                let needs_restart = change["needs_restart"].as_bool().unwrap();
                (
                    change["setting"].as_str().unwrap().to_owned(),
                    needs_restart,
                )
            })
            .collect::<Vec<(String, bool)>>()
    };
    let shards = ("[listen] shards".to_owned(), true);
    let idle = ("[wsp] idle_timeout".to_owned(), false);
    assert_eq!(changes(&other).await, [shards.clone(), idle]);

    // The reload says the same. The age of stored sessions follows `idle_timeout` at once; the
    // running gateway still has its shards.
    std::fs::write(gateway.directory.path().join("wapbridge.toml"), &other).unwrap();
    let (code, report) = ask(gateway.admin, "POST /reload", "").await;
    let expected = "{\"needs_restart\":[\"[listen]\"],\"reloaded\":true}";
    assert_eq!((code, report.as_str()), (200, expected));
    assert_eq!(changes(&other).await, [shards]);
    drop(gateway);
    let gone = diff(&same, false).await.fails();
    gone.says(&["no answer", "is the gateway running"]);
}

/// The command of HEALTHCHECK in the container file, with the admin port in HEALTH_PORT.
async fn is_healthy(port: u16) -> bool {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/container/Containerfile");
    let file = std::fs::read_to_string(file).unwrap();
    let (_, check) = file.split_once("\nHEALTHCHECK ").unwrap();
    let (_, command) = check.split_once("CMD ").unwrap();
    let command: Vec<String> = serde_json::from_str(command.lines().next().unwrap()).unwrap();
    let status = move || {
        std::process::Command::new(&command[0])
            .args(&command[1..])
            .env("HEALTH_PORT", port.to_string())
            .stderr(std::process::Stdio::null())
            .status()
    };
    tokio::task::spawn_blocking(status)
        .await
        .unwrap()
        .unwrap()
        .success()
}

#[tokio::test]
async fn the_health_check_of_the_container_asks_the_admin_port() {
    let origin = Origin::start().await;
    let gateway = Gateway::start(&with_token(&origin, "")).await;
    let port = gateway.admin.port();
    assert!(is_healthy(port).await);
    drop(gateway);
    assert!(!is_healthy(port).await);
}
