//! The examples in `deploy` pass, and show the defaults.

use std::path::Path;
use std::process::Command;

use http::Method;
use http::uri::PathAndQuery;
use wapbridge::config::Settings;
use wapbridge::route::{Affinity, Balance, HealthCheck, Outlier, RequestView, RetryBudget};

use super::{ROUTE, Scratch, parse, text};

#[test]
fn every_example_in_deploy_passes() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let examples = [deploy.clone(), deploy.join("examples")]
        .into_iter()
        .flat_map(|directory| std::fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|name| name == "toml"));
    let mut checked = 0;
    for path in examples {
        if let Err(report) = Settings::load(&path) {
            panic!("{report}");
        }
        checked += 1;
    }
    assert!(checked > 2);
}

/// The configurations inside the Kubernetes manifests pass, too.
#[test]
fn every_configuration_in_the_manifests_passes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes");
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&token, "a-token-that-is-long-enough-to-be-one\n").unwrap();
    let mut checked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let manifest = std::fs::read_to_string(&path).unwrap();
        let (_, block) = manifest.split_once("  wapbridge.toml: |\n").unwrap();
        let source: String = block
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with("    "))
            .map(|line| format!("{}\n", line.trim_start()))
            .collect();
        // A Secret is mounted there.
        let source = source.replace(
            "/run/secrets/wapbridge/token",
            token.path().to_str().unwrap(),
        );
        let settings = parse(&source).unwrap_or_else(|report| panic!("{report}"));
        // Probes come from outside the pod.
        assert!(!settings.admin.listen[0].ip().is_loopback(), "{path:?}");
        checked += 1;
    }
    assert_eq!(checked, 2);
}

/// The five lines of the README are five.
#[test]
fn the_least_example_has_five_lines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/five-lines.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let settings = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(settings.count(), 5);
}

/// Cards and SyncML of one URI go to servers of their own, by port and by what is sent.
#[test]
fn the_release_99_example_tells_handsets_apart() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/release-99.toml");
    let settings = Settings::load(&path).unwrap();
    let goes = |port, method: &Method, content_type| {
        let request = RequestView {
            uri: "http://sync.example.com/x",
            method,
            local_port: port,
            secured: false,
            binding: wapbridge::route::Binding::Wsp,
            obex_target: None,
            content_type,
            user_agent: None,
            message: wapbridge::route::Message::Body(&[]),
        };
        settings.routes.lookup(&request).unwrap().route.to_string()
    };
    let card = Some("text/x-vcard");
    assert_eq!(goes(9211, &Method::GET, None), "irmc");
    assert_eq!(goes(9201, &Method::PUT, card), "irmc-by-type");
    assert_eq!(goes(9201, &Method::GET, None), "syncml");
    let wbxml = Some("application/vnd.syncml+wbxml");
    assert_eq!(goes(9201, &Method::POST, wbxml), "syncml");
}

/// The carrier's has everything a carrier asks for, as it would run on a host of the Debian
/// package.
#[test]
fn the_carriers_example_knows_bills_and_protects() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/carrier-radius.toml");
    let settings = Settings::load(&path).unwrap();
    let radius = settings.identity.radius.unwrap().server;
    assert_eq!((radius.clients.len(), radius.homes.len()), (1, 2));
    assert!(settings.admin.token.is_some());
    assert!(settings.admin.listen.iter().all(|it| it.ip().is_loopback()));
    assert!(settings.protection.subscriber.is_some());
    let store = settings.store.unwrap();
    let store = store.file().unwrap().to_owned();
    for kept in [settings.records.unwrap().path, store] {
        assert!(kept.starts_with("/var/lib/wapbridge"), "{kept:?}");
    }
    let route = settings.routes.iter().next().unwrap();
    assert_eq!(route.hosts().count(), 2);
    assert!(!route.headers.insert.is_empty());
}

/// The example with some of its commented settings in force: those that `pick` wants, by key and
/// comment.
fn uncommented(example: &str, pick: impl Fn(&str, &str) -> bool) -> String {
    let is_key = |key: &str| {
        let is_letter = |octet: u8| octet.is_ascii_lowercase() || matches!(octet, b'_' | b'6');
        !key.is_empty() && key.bytes().all(is_letter)
    };
    let lines = example.lines().map(|line| {
        let Some(text) = line.strip_prefix("# ") else {
            return format!("{line}\n");
        };
        let is_section = text.starts_with('[') && text.trim_end().ends_with(']');
        let setting = text.split_once('=').filter(|(key, _)| is_key(key.trim()));
        let is_picked = setting.is_some_and(|(key, rest)| {
            let comment = rest.split_once("# ").map_or("", |(_, comment)| comment);
            pick(key.trim(), comment)
        });
        match is_section || is_picked {
            true => format!("{text}\n"),
            false => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// The beginning of comments on settings of a shared store, which excludes the file of [store].
const FOR_REDIS: &str = "for redis:";

/// What the example shows as a default is what the settings say when nothing is set, and serialised
/// settings are a configuration that gives the same settings.
#[test]
#[cfg_attr(not(feature = "wtls"), ignore = "the example has the settings of WTLS")]
fn the_example_shows_the_serialised_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/wapbridge.toml");
    let example = std::fs::read_to_string(&path).unwrap();
    // Settings without a comment, and these, are what their section cannot do without.
    let needed = |key: &str, comment: &str| {
        let needed = [
            "network",
            "address",
            "path",
            "secret",
            "listen",
            "name",
            "user",
            "password",
            "system_id",
            "targets",
            "id",
            "port",
            "match",
            "drop",
            "networks",
        ];
        comment.is_empty() || needed.contains(&key) && !comment.starts_with(FOR_REDIS)
    };
    let serialised = |source: &str| -> toml::Table {
        let settings = parse(source).unwrap_or_else(|report| panic!("{report}\n{source}"));
        toml::Table::try_from(&settings).unwrap()
    };
    let defaults = serialised(&uncommented(&example, needed));
    let text = uncommented(&example, |key, comment| {
        let is_default = !comment.contains("default:") && !comment.starts_with(FOR_REDIS);
        needed(key, comment) || is_default
    });
    assert!(text.contains("\nmax_methods"), "defaults are in force now");
    assert_eq!(serialised(&text), defaults);
    assert_eq!(
        defaults["limits"]["max_exchanges"].as_integer(),
        Some(16_384)
    );
    // Again and again the same, with secrets masked.
    let shown = toml::to_string(&defaults).unwrap();
    assert_eq!(serialised(&shown), defaults);
}

/// The schema accepts every example, and refuses what the program refuses.
#[test]
#[cfg_attr(not(feature = "wtls"), ignore = "the example has the settings of WTLS")]
fn the_schema_accepts_the_examples_and_refuses_mistakes() {
    let has_validator = Command::new("python3")
        .args(["-c", "import jsonschema"])
        .output();
    if !has_validator.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 with jsonschema is not installed");
        return;
    }
    let scratch = Scratch::new("schema");
    scratch.write("schema.json", &wapbridge::config::schema().to_string());
    let valid = |source: &str| {
        let table: toml::Table = source.parse().unwrap();
        scratch.write("config.json", &serde_json::to_string(&table).unwrap());
        let script = "import json, jsonschema\n\
            schema = json.load(open('schema.json'))\n\
            jsonschema.Draft202012Validator.check_schema(schema)\n\
            jsonschema.Draft202012Validator(schema).validate(json.load(open('config.json')))\n";
        let output = Command::new("python3")
            .args(["-c", script])
            .current_dir(&scratch.0)
            .output()
            .unwrap();
        (output.status.success(), text(&output.stderr))
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = std::fs::read_dir(root.join("deploy/examples")).unwrap();
    let mut sources: Vec<String> = examples
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let example = std::fs::read_to_string(root.join("deploy/wapbridge.toml")).unwrap();
    sources.push(uncommented(&example, |_, _| true));
    sources.push(example);
    for source in &sources {
        let (is_valid, why) = valid(source);
        assert!(is_valid, "{source}\n{why}");
    }
    for mistake in [
        "[listen]\nshards = \"many\"",
        "[log]\nlevel = \"loud\"",
        "[limits]\nmax_sessionz = 5",
        "[wtp]\nbase_ack = \"2\"",
        "[wtp]\nsegment_size = 1",
        "[[identity.radius.client]]\nsecret = 5",
    ] {
        let (is_valid, _) = valid(&format!("{mistake}\n{ROUTE}"));
        assert!(!is_valid, "{mistake}");
    }
}

/// The example's commented settings are right too, and show the defaults.
#[test]
#[cfg_attr(not(feature = "wtls"), ignore = "the example has the settings of WTLS")]
fn the_examples_comments_are_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/wapbridge.toml");
    let example = std::fs::read_to_string(&path).unwrap();
    let uncommented: String = example
        .lines()
        .map(|line| {
            let setting = line
                .strip_prefix("# ")
                .filter(|rest| {
                    rest.starts_with("[[")
                        || rest.starts_with("[identity.")
                        || rest.starts_with("[push.")
                        || rest.starts_with("[route.")
                        || rest
                            .split_once(" = ")
                            .is_some_and(|(key, _)| !key.trim().contains(' '))
                })
                // These name files, or digests of what only an operator has; and a store is one of two
                // kinds.
                .filter(|rest| {
                    ![
                        "ca_file",
                        "client_",
                        "pin",
                        "http_proxy",
                        "http =",
                        "https =",
                        "obex",
                        "identity_",
                        "insert_identity",
                        "file =",
                        "include",
                        "alias_key_file",
                        "secret_file",
                        "allow = ",
                        "allowed_",
                        "request_h",
                        "reply_h",
                        "token",
                        "probes",
                        "secure",
                        "certificate =",
                        "key =",
                        "certificate",
                        "key",
                        "password_file",
                        "endpoint",
                        "headers_file",
                        "path = \"/var/lib/wapbridge/state",
                    ]
                    .iter()
                    .any(|key| rest.starts_with(key))
                });
            format!("{}\n", setting.unwrap_or(line))
        })
        .collect();
    assert_ne!(uncommented, example);
    let all = parse(&uncommented).unwrap_or_else(|report| panic!("{report}"));
    let plain = parse(&example).unwrap();
    assert_eq!(all.admin, plain.admin);
    assert_eq!(all.log, plain.log);
    assert_eq!(all.listen, plain.listen);
    // Without a path there are no records, so the defaults show in what has nothing but one.
    assert_eq!(plain.records, None);
    let only = example.replace(
        "# path = \"/var/lib/wapbridge/records/",
        "path = \"/var/lib/wapbridge/records/",
    );
    let only = parse(&only).unwrap().records.unwrap();
    let mut records = all.records.clone().unwrap();
    records.node.clone_from(&only.node);
    assert_eq!(records, only);
    let core = |settings: &Settings| {
        let mut core = settings.core();
        // The comments name an initiator of pushes.
        core.wsp.serves_pushes = false;
        format!("{:?} {:?} {:?}", core.wtp, core.wsp, core.limits)
    };
    assert_eq!(core(&all), core(&plain));
    let (first, default) = (all.routes.iter().next(), plain.routes.iter().next());
    assert_eq!(first.unwrap().limits, default.unwrap().limits);
    let policy = &all.routes.iter().last().unwrap().host_policy;
    let path = PathAndQuery::from_static("/healthz");
    assert_eq!(policy.check, Some(HealthCheck::new(path)));
    assert_eq!(policy.outlier, Some(Outlier::default()));
    assert_eq!(policy.retry_budget, Some(RetryBudget::default()));
    let (balance, affinity) = (Balance::default(), Affinity::default());
    assert_eq!((policy.balance, policy.affinity), (balance, affinity));
    assert!(policy.slow_start.is_zero());
    let headers = |settings: &Settings| {
        let route = settings.routes.iter().next().unwrap();
        format!("{:?} {:?}", route.headers, route.allowed_methods)
    };
    assert_eq!(headers(&all), headers(&plain));
    assert_eq!(all.routes.iter().count(), 4);
}
