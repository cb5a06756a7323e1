//! What operators see when a configuration is right, and when it is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use http::Method;
use wapbridge::config::{Report, Settings};
use wapbridge::record::Format;
use wapbridge::route::RequestView;

const ROUTE: &str = "[[route]]\n\
    match = \"http://sync.example.com/\"\n\
    upstream = \"https://sync.internal.example:8443/\"\n";

fn parse(source: &str) -> Result<Settings, Report> {
    Settings::parse(source, "wapbridge.toml", Path::new(""))
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

/// The report of a configuration with one route and `rest`.
fn report(rest: &str) -> String {
    parse(&format!("{rest}\n{ROUTE}"))
        .expect_err("this configuration has mistakes")
        .to_string()
}

fn target(settings: &Settings, uri: &str, port: u16) -> Option<String> {
    let request = RequestView {
        uri,
        method: &Method::POST,
        local_port: port,
        content_type: Some("text/x-vcard"),
        user_agent: None,
        message: wapbridge::route::Message::Body(&[]),
    };
    let target = settings.routes.lookup(&request).ok()?;
    Some(target.uri.to_string())
}

#[test]
fn the_minimum_is_accepted() {
    let settings = parse(&format!(
        "[listen]\n\
         connection_mode = \"0.0.0.0:9201\"\n\
         connectionless  = [\"127.0.0.1:0\", \"[::1]:9200\"]\n\
         [admin]\n\
         listen = \"127.0.0.1:9280\"\n{ROUTE}[tls]\n"
    ))
    .unwrap();
    let shown = |addresses: &[std::net::SocketAddr]| format!("{addresses:?}");
    assert_eq!(shown(&settings.listen.connection_mode), "[0.0.0.0:9201]");
    assert_eq!(
        shown(&settings.listen.connectionless),
        "[127.0.0.1:0, [::1]:9200]"
    );
    assert_eq!(shown(&settings.admin.listen), "[127.0.0.1:9280]");
    assert_eq!(
        target(&settings, "http://sync.example.com/ds", 9201).as_deref(),
        Some("https://sync.internal.example:8443/ds")
    );
}

#[test]
fn three_lines_are_a_configuration() {
    let settings = parse(ROUTE).unwrap();
    assert_eq!(settings.listen.connection_mode[0].port(), 9201);
    assert_eq!(settings.listen.connectionless[0].port(), 9200);
    assert_eq!(settings.admin.listen[0].to_string(), "127.0.0.1:9280");
    assert_eq!(settings.log.format, Format::Text);
}

#[test]
fn a_service_that_listen_does_not_name_is_off() {
    let settings = parse(&format!("[listen]\nconnection_mode = \"[::]:0\"\n{ROUTE}")).unwrap();
    assert!(settings.listen.connectionless.is_empty());
    let settings = parse(&format!("[admin]\nlisten = []\n{ROUTE}")).unwrap();
    assert!(settings.admin.listen.is_empty());
}

#[test]
fn a_routes_settings_arrive() {
    let settings = parse(
        "[listen]\nconnection_mode = [\"0.0.0.0:9201\", \"0.0.0.0:9211\"]\n\
         [[route]]\nname = \"irmc\"\nmatch = [\"http://a.example/\", \"http://b.example/\"]\nport = 9211\n\
         media_type = [\"text/x-vcard\"]\nmethod = [\"PUT\", \"POST\"]\nupstream = [\"http://irmc.example/\", \"http://irmc2.example:81/\"]\n\
         allow_plaintext = true\nmax_reply = \"64KiB\"\nconnect_timeout = \"500ms\"\ntimeout = \"2m\"\n\
         [[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://ds.example/\"\n",
    )
    .unwrap();
    assert_eq!(
        target(&settings, "http://b.example/x", 9211).as_deref(),
        Some("http://irmc.example/x")
    );
    assert_eq!(
        target(&settings, "http://a.example/x", 9201).as_deref(),
        Some("https://ds.example/x")
    );
    let route = settings.routes.iter().next().unwrap();
    let hosts: Vec<_> = route.hosts().map(ToString::to_string).collect();
    assert_eq!(hosts, ["http://irmc.example/", "http://irmc2.example:81/"]);
    assert_eq!(&*route.name, "irmc");
    assert_eq!(route.limits.max_reply, 65_536);
    assert_eq!(route.limits.connect_timeout, Duration::from_millis(500));
    assert_eq!(route.limits.timeout, Duration::from_secs(120));
    assert_eq!(route.limits.first_byte_timeout, Duration::from_secs(120));
    assert_eq!(&*settings.routes.iter().nth(1).unwrap().name, "2");
}

#[test]
fn what_a_route_does_to_requests_and_headers_arrives() {
    let settings = parse(
        "[[route]]\nmatch = \"http://a.example/\"\nsyncml = [\"1.1\", \"DM\"]\n\
         upstream = \"https://ds.example/\"\nallowed_methods = [\"POST\"]\n\
         timeout = \"60s\"\nfirst_byte_timeout = \"20s\"\nhttp_proxy = \"http://proxy.example:3128/\"\n\
         forwarded = \"none\"\nrequest_headers = [\"set X-Carrier: example\", \"remove Cookie\"]\n\
         reply_headers = \"rename Server: X-Server\"\n\
         [privacy]\nidentity_headers = [\"X-Who\"]\n",
    )
    .unwrap_or_else(|report| panic!("{report}"));
    let route = settings.routes.iter().next().unwrap();
    assert_eq!(
        route.condition.to_string(),
        "http://a.example/, SyncML 1.1 or DM"
    );
    assert_eq!(route.allowed_methods, [Method::POST]);
    assert_eq!(route.limits.first_byte_timeout, Duration::from_secs(20));
    let proxy = route.http_proxy.as_ref().unwrap().to_string();
    assert_eq!(proxy, "http://proxy.example:3128/");
    let rules = |rules: &[wapbridge::route::HeaderRule]| -> Vec<String> {
        rules.iter().map(ToString::to_string).collect()
    };
    let headers = &route.headers;
    assert_eq!(
        rules(&headers.request),
        ["set x-carrier: example", "remove cookie"]
    );
    assert_eq!(rules(&headers.reply), ["rename server: x-server"]);
    assert_eq!(headers.forwarded, wapbridge::route::Forwarded::Nowhere);
    assert_eq!(headers.identity, ["x-who"]);
}

#[test]
fn what_a_route_cannot_do_is_told() {
    let route = |keys: &str| {
        parse(&format!(
            "[[route]]\nmatch = \"http://a.example/\"\n{keys}\n"
        ))
    };
    let to = "upstream = \"https://b.example/\"\n";
    for (keys, told) in [
        (format!("{to}syncml = \"1.3\""), "\"1.0\", \"1.1\""),
        (format!("{to}allowed_methods = \"get\""), "write \"GET\""),
        (format!("{to}request_headers = \"add X: y\""), "set X-Carrier"),
        (format!("{to}reply_headers = \"remove Content-Length\""), "belongs to the connection"),
        (format!("{to}forwarded = \"yes\""), "\"x-forwarded-for\""),
        (format!("{to}http_proxy = \"https://p.example/\""), "plain HTTP"),
        (format!("{to}[privacy]\nidentity_headers = \"a b\""), "name of a header field"),
        (
            "upstream = \"http://b.example/\"\nallow_plaintext = true\nhttp_proxy = \"http://p.example/\"".to_owned(),
            "https:// only",
        ),
        (
            "upstream = \"as-requested\"\nallow_plaintext = true\nhttp_proxy = \"http://p.example/\"".to_owned(),
            "could not be checked",
        ),
        (
            format!(
                "{to}[[route]]\nmatch = \"http://c.example/\"\n{to}http_proxy = \"http://p.example/\""
            ),
            "in different ways",
        ),
        (
            "upstream = \"as-requested\"\nallow_plaintext = true\nrewrite_resp_uri = true".to_owned(),
            "own addresses already",
        ),
    ] {
        let report = route(&keys).expect_err(&keys).to_string();
        assert!(report.contains(told), "{keys}\n---\n{report}");
    }
}

#[test]
fn accounting_clients_are_known_by_a_name_that_outlives_their_network() {
    let client = |network: &str, rest: &str| {
        let table = "[[identity.radius.client]]\n";
        format!("{ROUTE}{table}network = \"{network}\"\nsecret = \"s\"\n{rest}\n")
    };
    let name = |source: &str| {
        let radius = parse(source).unwrap().identity.radius.unwrap();
        radius.server.clients[0].reporter.name.to_string()
    };
    let named = "name = \"ggsn\"";
    assert_eq!(name(&client("10.9.0.0/16", "")), "10.9.0.0/16");
    assert_eq!(name(&client("10.9.0.0/16", named)), "ggsn");
    assert_eq!(name(&client("10.9.0.0/24", named)), "ggsn");
    let other = client("10.7.0.0/16", named).replace(ROUTE, "");
    let titles = problems(&(client("10.9.0.0/16", named) + &other));
    assert_eq!(titles[0].0, "two accounting clients are named ggsn");
}

#[test]
fn every_mistake_is_told_at_once_and_in_order() {
    let source = "\
[listen]
conection_mode = \"0.0.0.0:9201\"
connectionless = [\"0.0.0.0\", \"0.0.0.0:99999\", 9200]

[admn]
listen = \"127.0.0.1:9280\"

[[route]]
match = \"sync.example.com\"
upstream = \"http://sync.internal.example/\"
timeout = 30

[[route]]
match = \"http://b.example/\"
max_reply = \"1GB\"

[tls]
ca_file = \"no-such-file.pem\"

[log]
level = \"verbose\"
format = true
";
    let expected = [
        ("unknown key `conection_mode` in [listen]", "conection_mode"),
        ("invalid `connectionless` in [listen]", "\"0.0.0.0\""),
        ("invalid `connectionless` in [listen]", "\"0.0.0.0:99999\""),
        ("invalid `connectionless` in [listen]", "9200"),
        ("unknown section `admn` in this file", "admn"),
        ("invalid `match` in [[route]]", "\"sync.example.com\""),
        (
            "invalid `upstream` in [[route]]",
            "\"http://sync.internal.example/\"",
        ),
        ("invalid `timeout` in [[route]]", "30"),
        ("[[route]] has no `upstream`", "[[route]]"),
        ("invalid `max_reply` in [[route]]", "\"1GB\""),
        ("invalid `ca_file` in [tls]", "\"no-such-file.pem\""),
        ("invalid `level` in [log]", "\"verbose\""),
        ("invalid `format` in [log]", "true"),
    ];
    let found = problems(source);
    let found: Vec<_> = found
        .iter()
        .map(|(t, a)| (t.as_str(), a.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_report_shows_the_place_and_the_remedy() {
    assert_eq!(
        report("[listen]\nconection_mode = \"0.0.0.0:9201\"\nconnectionless = \"::\""),
        "\
error: unknown key `conection_mode` in [listen]
 --> wapbridge.toml:2:1
  |
2 | conection_mode = \"0.0.0.0:9201\"
  | ^^^^^^^^^^^^^^ there is no such key
  |
  = help: did you mean `connection_mode`?

error: invalid `connectionless` in [listen]
 --> wapbridge.toml:3:18
  |
3 | connectionless = \"::\"
  |                  ^^^^ expected an address and a port such as \"0.0.0.0:9201\" or \"[::]:9201\"
  |
  = help: put the address in brackets and add the port: \"[::]:PORT\"

wapbridge.toml: 2 errors"
    );
}

#[test]
fn a_route_behind_a_wider_one_is_an_error_at_both_places() {
    let report = report(&format!("{ROUTE}allow_plaintext = false\n"));
    assert_eq!(
        report,
        "\
error: route 2 can never be reached
 --> wapbridge.toml:7:9
  |
2 | match = \"http://sync.example.com/\"
  |         -------------------------- ... is taken by this route already
...
7 | match = \"http://sync.example.com/\"
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^ whatever this matches ...
  |
  = help: the first match wins: move the more special route up, or remove it

wapbridge.toml: 1 error"
    );
}

#[test]
fn remedies_fit_the_mistake() {
    for (rest, remedy) in [
        (
            "[listen]\nconnection_mode = \"localhost:9201\"",
            "names are not looked up",
        ),
        ("[listen]\nconnection_mode = \":9201\"", "\"0.0.0.0:9201\""),
        ("[listen]\nconnection_mode = \"1.2.3.4:port\"", "0 to 65535"),
        (
            "[listen]\nconnection_mode = \"0.0.0.0:9201\"\nconnectionless = \"0.0.0.0:9201\"",
            "0.0.0.0:9201 is listed twice",
        ),
        ("[listen]", "connection_mode = \\\"0.0.0.0:9201\\\""),
        ("listen = 3", "[listen] on a line of its own"),
        ("[route]\nmatch = \"http://a.example/\"", "write [[route]]"),
        ("[log]\nlevel = \"Info\"", "did you mean \"info\"?"),
        ("[log]\nformat = \"jsno\"", "did you mean \"json\"?"),
        ("[log]\ncolour = true", "known here: access, format, level"),
        ("[wtp]\nbase_retry = \"0s\"", "10ms to 600s"),
        ("[wtp]\nbearer = \"gprs\"", "\"circuit-switched\""),
        (
            "[limits]\nmax_message = \"2MiB\"\nmax_reassembly = \"1MiB\"",
            "less than 2MiB",
        ),
        (
            "[[route]]\nmatch = []\nupstream = \"https://o.example/\"",
            "at least one",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = []",
            "at least one",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = [\"https://o.example/\", \"https://p.example/x\"]",
            "give them its scheme and path",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/?x\"\nupstream = \"https://o.example/\"",
            "has a query or a fragment",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://user:secret@o.example/\"",
            "user name before the host",
        ),
        (
            "[[route]]\nmatch = \"wap://a.example/\"\nupstream = \"https://o.example/\"",
            "neither http:// nor https://",
        ),
        (
            "[[route]]\nupstream = \"https://o.example/\"",
            "`match` is missing",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"http://o.example/\"",
            "allow_plaintext = true",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"\nallow_plaintext = \"yes\"",
            "write it without quotes",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"\ntimeout = \"2d\"",
            "ms, s, m and h",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"\ntimeout = \"99h\"",
            "10ms to 3600s",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"\nmax_reply = 3",
            "1KiB to 64MiB",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"\nport = 9299",
            "nothing in [listen] has port 9299",
        ),
        (
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"\nmethod = \"post\"",
            "\"POST\"",
        ),
        (
            "[[route]]\nname = \"2\"\nmatch = \"http://a.example/\"\nupstream = \"https://o.example/\"",
            "two routes are named 2",
        ),
    ] {
        let report = report(rest);
        assert!(
            report.contains(&remedy.replace("\\\"", "\"")),
            "{rest}\n---\n{report}"
        );
    }
}

#[test]
fn broken_toml_is_told_with_the_other_mistakes() {
    let report = report(
        "[listen\nconnection_mode = \"0.0.0.0:9201\"\n[log]\nlevel = \"inof\"\nformat = = 3",
    );
    assert!(report.contains("this is not TOML"), "{report}");
    assert!(report.contains("wapbridge.toml:1:8"), "{report}");
    assert!(report.contains("wapbridge.toml:5:"), "{report}");
    assert!(report.contains("did you mean \"info\"?"), "{report}");
}

#[test]
fn an_empty_file_says_what_it_needs() {
    for source in [
        "",
        "\n",
        "# nothing yet\n",
        "[[route]]",
        "\u{feff}",
        "[log]\r\nlevel = \"info\"\r\n",
    ] {
        let report = parse(source).expect_err("no route").to_string();
        assert!(
            report.contains("upstream = \"https://"),
            "{source:?}: {report}"
        );
    }
}

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

/// The carrier's has everything a carrier asks for, as it would run on a host of the Debian package.
#[test]
fn the_carriers_example_knows_bills_and_protects() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/carrier-radius.toml");
    let settings = Settings::load(&path).unwrap();
    let radius = settings.identity.radius.unwrap().server;
    assert_eq!((radius.clients.len(), radius.homes.len()), (1, 2));
    assert!(settings.admin.token.is_some());
    assert!(settings.admin.listen.iter().all(|it| it.ip().is_loopback()));
    assert!(settings.protection.subscriber.is_some());
    for kept in [settings.records.unwrap().path, settings.store.unwrap().path] {
        assert!(kept.starts_with("/var/lib/wapbridge"), "{kept:?}");
    }
    let route = settings.routes.iter().next().unwrap();
    assert_eq!(route.hosts().count(), 2);
    assert!(!route.headers.insert.is_empty());
}

/// The example's commented settings are right too, and show the defaults.
#[test]
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
                        || rest
                            .split_once(" = ")
                            .is_some_and(|(key, _)| !key.trim().contains(' '))
                })
                // These name files, or digests of what only an operator has.
                .filter(|rest| {
                    ![
                        "ca_file",
                        "client_",
                        "pin",
                        "http_proxy",
                        "identity_",
                        "insert_identity",
                        "file =",
                        "alias_key_file",
                        "secret_file",
                        "allow = ",
                        "allowed_",
                        "request_h",
                        "reply_h",
                        "token",
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
        let core = settings.core();
        format!("{:?} {:?} {:?}", core.wtp, core.wsp, core.limits)
    };
    assert_eq!(core(&all), core(&plain));
    let (first, default) = (all.routes.iter().next(), plain.routes.iter().next());
    assert_eq!(first.unwrap().limits, default.unwrap().limits);
    let headers = |settings: &Settings| {
        let route = settings.routes.iter().next().unwrap();
        format!("{:?} {:?}", route.headers, route.allowed_methods)
    };
    assert_eq!(headers(&all), headers(&plain));
    assert_eq!(all.routes.iter().count(), 3);
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

#[test]
fn check_prints_ok_or_every_error() {
    let scratch = Scratch::new("check");
    let none = wapbridge(&scratch.0, &["check"], &[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        text(&none.stderr).contains("[[route]]"),
        "{}",
        text(&none.stderr)
    );

    scratch.write("wapbridge.toml", ROUTE);
    let good = wapbridge(&scratch.0, &["check"], &[]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let summary = text(&good.stdout);
    assert!(summary.starts_with("wapbridge.toml: ok\n"), "{summary}");
    assert!(
        summary.contains("http://sync.example.com/ -> https://sync.internal.example:8443/"),
        "{summary}"
    );

    scratch.write("bad.toml", "[lsiten]\n[log]\nlevel = 1\n");
    let bad = wapbridge(&scratch.0, &["check", "bad.toml"], &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(bad.stdout.is_empty());
    let report = text(&bad.stderr);
    assert!(
        report.contains("bad.toml:1:2") && report.contains("bad.toml:3:9"),
        "{report}"
    );
    assert!(report.contains("did you mean `listen`?"), "{report}");
    assert!(report.ends_with("bad.toml: 3 errors\n"), "{report}");

    let missing = wapbridge(&scratch.0, &["check", "none.toml"], &[]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot read none.toml"));
    assert_eq!(
        wapbridge(&scratch.0, &["chekc"], &[]).status.code(),
        Some(2)
    );
}

#[test]
fn a_ca_file_is_relative_to_the_file_that_names_it() {
    let scratch = Scratch::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    std::fs::create_dir_all(scratch.0.join("etc")).unwrap();
    scratch.write("etc/ca.pem", &ca.pem());
    scratch.write("etc/key.pem", &key.serialize_pem());
    scratch.write(
        "etc/good.toml",
        &format!("{ROUTE}[tls]\nca_file = \"ca.pem\"\n"),
    );
    scratch.write(
        "etc/bad.toml",
        &format!("{ROUTE}[tls]\nca_file = \"key.pem\"\n"),
    );
    scratch.write("etc/plain.toml", ROUTE);

    let good = wapbridge(&scratch.0, &["check", "etc/good.toml"], &[]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let bad = wapbridge(&scratch.0, &["check", "etc/bad.toml"], &[]);
    assert!(
        text(&bad.stderr).contains("no certificate in it"),
        "{}",
        text(&bad.stderr)
    );

    // On a host without a certificate store the file alone is enough, and without it nobody is trusted.
    let bare = [
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
    ];
    let good = wapbridge(&scratch.0, &["check", "etc/good.toml"], &bare);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let none = wapbridge(&scratch.0, &["check", "etc/plain.toml"], &bare);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        text(&none.stderr).contains("ca-certificates"),
        "{}",
        text(&none.stderr)
    );
}

#[test]
fn route_tells_where_a_request_goes_and_why() {
    let scratch = Scratch::new("route");
    scratch.write(
        "wapbridge.toml",
        "[[route]]\nname = \"cards\"\nmatch = \"http://a.example/\"\nmedia_type = \"text/x-vcard\"\n\
         upstream = \"https://irmc.example/\"\n\
         [[route]]\nname = \"ds\"\nmatch = \"http://a.example/\"\nupstream = \"https://ds.example/app\"\n",
    );
    let route = |arguments: &[&str]| {
        let arguments = [&["route"], arguments].concat();
        let output = wapbridge(&scratch.0, &arguments, &[]);
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    };
    assert_eq!(
        route(&["http://a.example/x?y=1"]),
        (
            Some(0),
            "route cards: no, another media type (http://a.example/, media type text/x-vcard)\n\
             route ds: yes (http://a.example/)\n\
             GET https://ds.example/app/x?y=1\n"
                .to_owned()
        )
    );
    let (status, said) = route(&[
        "--type",
        "text/x-vcard; charset=utf-8",
        "http://a.example/x",
    ]);
    assert_eq!(status, Some(0));
    assert!(said.ends_with("POST https://irmc.example/x\n"), "{said}");
    let (_, said) = route(&["--syncml", "DM/1.2", "http://a.example/x"]);
    assert!(said.ends_with("GET https://ds.example/app/x\n"), "{said}");
    let (status, said) = route(&["http://b.example/"]);
    assert_eq!(status, Some(1));
    assert!(
        said.contains("route ds: no, another URI") && said.contains("refused: no route"),
        "{said}"
    );
    let (status, said) = route(&["http://a.example@b.example/"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("user name before the host"), "{said}");
}

#[test]
fn what_a_route_says_about_tls_is_checked() {
    let scratch = Scratch::new("tls");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    let other_key = rcgen::KeyPair::generate().unwrap();
    scratch.write("client.pem", &certificate.pem());
    scratch.write("client.key", &key.serialize_pem());
    scratch.write("other.key", &other_key.serialize_pem());
    scratch.write("both.pem", &(certificate.pem() + &key.serialize_pem()));
    let check =
        |keys: &str| Settings::parse(&format!("{ROUTE}{keys}\n"), "wapbridge.toml", &scratch.0);
    for keys in [
        "tls_min_version = \"1.3\"",
        "client_certificate = \"both.pem\"",
        "client_certificate = \"client.pem\"\nclient_key = \"client.key\"",
        &format!("pin = [\"{}\"]", "0aF9".repeat(16)),
    ] {
        if let Err(report) = check(keys) {
            panic!("{report}");
        }
    }
    for (keys, told) in [
        ("tls_min_version = \"1.1\"", "expected \"1.2\" or \"1.3\""),
        ("tls_min_version = 1.3", "found a number with a fraction"),
        (
            "client_certificate = \"client.pem\"",
            "client.pem: no private key in it",
        ),
        (
            "client_certificate = \"none.pem\"",
            "none.pem: No such file",
        ),
        (
            "client_certificate = \"client.pem\"\nclient_key = \"other.key\"",
            "other.key: keys may not be consistent",
        ),
        (
            "client_key = \"client.key\"",
            "a key without its certificate",
        ),
        ("pin = \"abc\"", "openssl dgst -sha256"),
        ("pin = []", "at least one"),
        (
            "allow_plaintext = true\n[[route]]\nmatch = \"http://b.example/\"\n\
             upstream = \"http://o.example/\"\nallow_plaintext = true\ntls_min_version = \"1.3\"",
            "there is no TLS with this",
        ),
        (
            "[[route]]\nmatch = \"http://b.example/\"\n\
             upstream = \"https://sync.internal.example:8443/x\"\ntls_min_version = \"1.3\"",
            "two routes want to speak to sync.internal.example:8443 in different ways",
        ),
    ] {
        let report = check(keys).expect_err(keys).to_string();
        assert!(report.contains(told), "{keys}\n---\n{report}");
    }
}

#[test]
fn a_pass_through_route_names_its_hosts() {
    let route = |keys: &str| parse(&format!("[[route]]\nupstream = \"as-requested\"\n{keys}\n"));
    let settings = route("match = \"https://a.example/x\"\nallow_addresses = [\"10.0.0.0/8\"]");
    let settings = settings.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(
        target(&settings, "https://a.example/x/y?z", 9201).as_deref(),
        Some("https://a.example/x/y?z")
    );
    assert_eq!(target(&settings, "https://b.example/", 9201), None);
    for (keys, told) in [
        ("port = 9201", "name the hosts in `match`"),
        ("match = \"http://a.example/\"", "allow_plaintext = true"),
        (
            "match = \"https://a.example/\"\nallow_addresses = \"10.0.0.1/8\"",
            "has address bits",
        ),
        (
            "match = \"https://a.example/\"\nallow_addresses = \"local\"",
            "\"fd00::/8\"",
        ),
        (
            "match = \"https://a.example/\"\n[[route]]\nmatch = \"http://b.example/\"\n\
             upstream = \"https://a.example/\"",
            "two routes want to speak to a.example in different ways",
        ),
        (
            "match = \"https://a.example/\"\n[[route]]\nmatch = \"http://b.example/\"\n\
             upstream = \"https://b.example/\"\nallow_addresses = \"10.0.0.0/8\"",
            "may lead anywhere",
        ),
        (
            "match = \"https://a.example/\"\n[[route]]\nmatch = \"http://b.example/\"\n\
             upstream = [\"https://b.example/\", \"as-requested\"]",
            "choose one of them",
        ),
    ] {
        let report = route(keys).expect_err(keys).to_string();
        assert!(report.contains(told), "{keys}\n---\n{report}");
    }
}

#[test]
fn sessions_redirects_connectionless_mode_and_headers_are_set() {
    let settings = parse(&format!(
        "[wsp]\nmax_pushes = 2\nextended_methods = [\"PROPFIND\"]\nearly_wait = \"0s\"\n\
         redirect = \"192.0.2.9:9201\"\nredirect_permanent = true\ndrain_redirect = \"192.0.2.9:50000\"\n\
         [connectionless]\nrate = 7\nmax_reply = \"2KiB\"\nremember = \"20s\"\n\
         [headers]\ncookies = \"gateway\"\ndrop_to_handset = [\"X-Big\"]\nunassigned = \"refuse\"\n{ROUTE}"
    ))
    .unwrap_or_else(|report| panic!("{report}"));
    let core = settings.core();
    assert_eq!(
        (core.wsp.max_pushes, core.wsp.extended_methods.len()),
        (2, 1)
    );
    assert!(core.wsp.early_wait.is_zero());
    let redirect = core.redirect.unwrap();
    assert_eq!(
        (redirect.flags, &redirect.addresses[..]),
        (0x80, &[4, 192, 0, 2, 9][..])
    );
    assert_eq!(
        core.drain_redirect.unwrap().addresses[..4],
        [0x44, 0xC3, 0x50, 192]
    );
    assert_eq!(
        (core.connectionless.rate, core.connectionless.max_reply),
        (7, 2_048)
    );
    assert_eq!(core.headers.cookies, wapbridge::gateway::Cookies::Gateway);
    assert_eq!(
        core.headers.unassigned,
        wapbridge::gateway::Unassigned::Refuse
    );
    assert_eq!(core.headers.drop_to_handset, ["x-big"]);
}

#[test]
fn mistakes_in_them_are_told() {
    let wrong = [
        ("[wsp]\nredirect = \"192.0.2.9:9300\"\n", "49152"),
        (
            "[wsp]\nredirect = \"192.0.2.9:50000\"\nredirect_permanent = true\n",
            "keeps the port",
        ),
        ("[headers]\ncookies = \"gatway\"\n", "gateway"),
        (
            "[headers]\ndrop_to_origin = [\"no name\"]\n",
            "name of a header field",
        ),
        ("[connectionless]\nrate = 0\n", "less than 1"),
    ];
    for (text, told) in wrong {
        let report = parse(&format!("{text}{ROUTE}")).unwrap_err().to_string();
        assert!(report.contains(told), "{report}");
    }
}
