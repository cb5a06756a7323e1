//! Mistakes are reported at their place, with a remedy, and all at once.

use wapbridge::config::Settings;

use super::{ROUTE, Scratch, parse, problems};

/// The report of a configuration with one route and `rest`.
fn report(rest: &str) -> String {
    parse(&format!("{rest}\n{ROUTE}"))
        .expect_err("this configuration has mistakes")
        .to_string()
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
        (format!("{to}max_requests = 0"), "from 1 to"),
        (format!("{to}health_check = \"/healthz\""), "write [route.health_check] on a line of its own"),
        (format!("{to}health_check = {{ interval = \"5s\" }}"), "as in `path = \"/healthz\"`"),
        (format!("{to}health_check = {{ path = \"healthz\" }}"), "begins with a slash"),
        (format!("{to}health_check = {{ path = \"/a b\" }}"), "has no spaces"),
        (format!("{to}health_check = {{ path = \"/\", expect = \"1xx\" }}"), "\"200-399\""),
        (format!("{to}health_check = {{ path = \"/\", interval = \"2s\", timeout = \"3s\" }}"), "to `interval`"),
        (format!("{to}health_check = {{ path = \"/\", healty = 3 }}"), "did you mean `healthy`?"),
        (format!("{to}outlier = {{ base = \"1m\", max = \"30s\" }}"), "no shorter than the first"),
        (format!("{to}outlier = {{ consecutive = 0 }}"), "from 1 to"),
        ("upstream = \"as-requested\"\noutlier = {}".to_owned(), "name an `upstream`, or remove `outlier`"),
        (format!("{to}balance = \"random\""), "\"least_outstanding\""),
        (format!("{to}affinity = \"cookie\""), "\"session\", \"address\" or \"none\""),
        (format!("{to}slow_start = \"2h\""), "to 3600s"),
        (format!("{to}retry_budget = {{ budget_percent = 101 }}"), "from 0 to 100"),
        ("upstream = \"as-requested\"\nbalance = \"round_robin\"".to_owned(), "or remove `balance`"),
        ("upstream = \"as-requested\"\nretry_budget = {}".to_owned(), "or remove `retry_budget`"),
        ("upstream = { url = \"https://b.example/\", weight = 0 }".to_owned(), "from 1 to 1000"),
        ("upstream = [{ weight = 3 }]".to_owned(), "this host has no `url`"),
        ("upstream = { url = \"https://b.example/\", wieght = 3 }".to_owned(), "`url` and `weight` only"),
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
            "upstream = \"as-requested\"\nallow_plaintext = true\nrewrite_resp_uri = true".to_owned(),
            "own addresses already",
        ),
        (format!("{to}allowed_methods = \"CONNECT\""), "hosts and ports only"),
        (
            "upstream = \"as-requested\"\nallow_plaintext = true\nallowed_methods = \"CONNECT\"".to_owned(),
            "hosts and ports only",
        ),
        (
            format!("{to}[listen]\nhttps = \"127.0.0.1:8443\""),
            "add `certificate` and `key` to [http]",
        ),
        (format!("{to}[http]\ncertificate = \"a.pem\""), "no address of [listen] speaks TLS"),
        (format!("{to}[http]\ntrusted_proxies = \"10.0.0.7/8\""), "behind its length"),
    ] {
        let report = route(&keys).expect_err(&keys).to_string();
        assert!(report.contains(told), "{keys}\n---\n{report}");
    }
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
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^ every request of this route ...
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
        (
            "[log]\ncolour = true",
            "known here: access, access_sample, format, level",
        ),
        (
            "[log]\naccess = \"syslog:server=log.example\"",
            "server is an address, as 192.0.2.1:514",
        ),
        (
            "[log]\naccess = \"syslog:\"",
            "syslog knows server, facility and tag",
        ),
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
    ] {
        let report = check(keys).expect_err(keys).to_string();
        assert!(report.contains(told), "{keys}\n---\n{report}");
    }
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

/// Whatever is wrong with a line, a secret in it is not quoted. `S3CR3T` stands for one.
#[test]
fn reports_never_show_a_secret() {
    let route =
        |rest: &str| format!("[[route]]\nmatch = \"http://b/\"\nupstream = \"https://b/\"\n{rest}");
    for source in [
        "[admin]\ntoken = \"S3CR3T".to_owned(),
        "[admin]\ntoken = S3CR3T".to_owned(),
        "[admin]\ntoken \"S3CR3T\"".to_owned(),
        "[admin]\ntoken = [\"S3CR3T\", 5]".to_owned(),
        "[admin]\ntoken = { is = \"S3CR3T\" }".to_owned(),
        "[admin]\ntoken = \"\"\"\nS3CR3T".to_owned(),
        "[admin]\ntoken = \"S3CR3T\"".to_owned(),
        "[admin]\ntokn = \"S3CR3T\"".to_owned(),
        "[admin]\nlisten = 5 # S3CR3T".to_owned(),
        "[admin]\n\"S3CR3T\" = \"token\"".to_owned(),
        "[admin]\ntoken.S3CR3T = 1".to_owned(),
        "[tokens]\na = \"S3CR3T\"".to_owned(),
        "[identity.radius]\nclient = { network = \"10.0.0.0/8\", secret = \"S3CR3T\" }".to_owned(),
        "[[identity.radius.client]]\nnetwork = \"10.0.0.0\"\nsecret = \"S3CR3T\"\nsecret_file = \"x\""
            .to_owned(),
        "[[identity.radius.client]]\nnetwork = \"nonsense\", secret = \"S3CR3T\"".to_owned(),
        "[[identity.radius.client]]\nsecret = 5S3CR3T".to_owned(),
        "[[identity.radius.forward]]\nsecrets = \"S3CR3T\"".to_owned(),
        "[identity]\nsubscribers = [\"10.1.2.3;;S3CR3T;;\"]".to_owned(),
        route("request_headers = \"sett X-Key: S3CR3T\""),
        route("request_headers = [\"set X Y: S3CR3T\"]"),
        route("http_proxy = \"http://S3CR3T@p/\""),
        route("http_proxy = \"http:/user:S3CR3T@p/\""),
        "[[route]]\nmatch = \"http://b/\"\nupstream = \"https://user:S3CR3T@b/\"".to_owned(),
        "[[route]]\nmatch = \"http://b/\"\nupstream = \"htps://user:S3CR3T@b/\"".to_owned(),
        "[store]\npath = \"x\"\nurl = \"redis://:S3CR3T@h/\"".to_owned(),
    ] {
        for source in [format!("{source}\n{ROUTE}"), format!("{ROUTE}{source}\n")] {
            let report = parse(&source).expect_err(&source);
            let shown = format!("{report}\n{}", report.render(true));
            assert!(!shown.contains("S3CR3T"), "{source}\n{report}");
            for entry in report.entries() {
                let shown = serde_json::to_string(&entry).unwrap();
                assert!(!shown.contains("S3CR3T"), "{shown}");
            }
            for line in report.lines() {
                assert!(!line.contains("S3CR3T"), "{line}");
            }
        }
    }
}

#[test]
fn mistakes_of_form_come_with_their_remedy() {
    for (source, remedy) in [
        ("[listen]\nconnection_mode = \"::1:9201\"", "[::1]:9201"),
        ("[listen]\nconnection_mode = \"[::1]\"", "[::1]:PORT"),
        ("[listen]\nconnection_mode = \"9201\"", "0.0.0.0:9201"),
        ("[listen]\nconnection_mode = 9201", "0.0.0.0:9201"),
        ("[admin]\nlisten = \"9280\"", "0.0.0.0:9280"),
        ("[admin]\nlisten = \"http://127.0.0.1:9280\"", "no URL"),
        (
            "[listen\nconnection_mode = \"0.0.0.0:9201\"",
            "as in [listen]",
        ),
        (
            "[listen]\nconnection_mode = \"0.0.0.0:9201\"\nshards = \"many\"",
            "shards = \"auto\"",
        ),
        (
            "[listen]\nconnection_mode = \"0.0.0.0:9201\"\nshards = \"4\"",
            "without quotes",
        ),
        ("[log]\nlevel = info", "between quotes"),
        ("[log]\nlevel = \"info", "between two quotes"),
        ("[log]\nlevel", "KEY = VALUE"),
        ("[log]\nlevel = 5", "write text between quotes"),
        ("[wsp]\nmax_methods = [5]", "only one value"),
        (
            "[[route]]\nmatch = \"http://b/\"\nupstream = \"htps://b/\"",
            "did you mean https://?",
        ),
    ] {
        let report = report(source);
        assert!(report.contains(remedy), "{source}\n{report}");
    }
}

#[test]
fn credentials_that_no_request_can_show_are_told() {
    let scratch = Scratch::new("initiators");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default()
        .self_signed(&key)
        .unwrap();
    scratch.write("client.pem", &certificate.pem());
    scratch.write("both.pem", &(certificate.pem() + &key.serialize_pem()));
    let check = |listener: &str, credentials: &str| {
        let source = format!(
            "{ROUTE}[push]\nlisten = \"127.0.0.1:0\"\n{listener}[[push.initiator]]\nname = \"a\"\n\
             targets = \"*\"\n{credentials}"
        );
        Settings::parse(&source, "wapbridge.toml", &scratch.0)
    };
    let (tls, asks) = (
        "certificate = \"both.pem\"\n",
        "certificate = \"both.pem\"\nclient_ca_file = \"client.pem\"\n",
    );
    let (password, token, shown) = (
        "user = \"a\"\npassword = \"long-enough-to-be-one\"\n",
        "token = \"long-enough-to-be-one\"\n",
        "client_certificate = \"client.pem\"\n",
    );
    for (listener, credentials) in [
        ("", password.to_owned()),
        ("", token.to_owned()),
        (asks, format!("{password}{shown}")),
        (asks, format!("{token}{shown}")),
    ] {
        let settings = check(listener, &credentials).unwrap_or_else(|report| panic!("{report}"));
        // The ends of the certificates are watched.
        let expiries = settings.certificates.iter();
        let watched: Vec<_> = expiries
            .map(|it| (it.role.label(), it.file.clone()))
            .collect();
        let file = |name: &str| scratch.0.join(name);
        let expected = match listener.is_empty() {
            true => Vec::new(),
            false => vec![
                ("listener", file("both.pem")),
                ("authority", file("client.pem")),
            ],
        };
        assert_eq!(watched, expected);
    }
    for (listener, credentials, told) in [
        ("", format!("{password}{token}"), "keep one of the two"),
        ("", shown.to_owned(), "set certificate and client_ca_file"),
        (tls, shown.to_owned(), "set certificate and client_ca_file"),
    ] {
        let report = check(listener, &credentials).expect_err(told).to_string();
        assert!(report.contains(told), "{credentials}\n---\n{report}");
    }
}

#[test]
fn terminals_need_networks_and_whole_credentials() {
    let scratch = Scratch::new("terminals");
    scratch.write("empty", "\n");
    let check = |terminals: &str| {
        let source = format!(
            "{ROUTE}[push]\nlisten = \"127.0.0.1:0\"\n[push.http]\n{terminals}\n[[push.initiator]]\n\
             name = \"a\"\ntargets = \"*\"\nnetworks = \"127.0.0.1\"\n"
        );
        Settings::parse(&source, "wapbridge.toml", &scratch.0)
    };
    let networks = "networks = \"10.0.0.0/8\"\n";
    for (terminals, told) in [
        ("port = 5".to_owned(), "name the networks of terminals"),
        (
            format!("{networks}user = \"a\""),
            "both `user` and `password_file`",
        ),
        (
            format!("{networks}password = \"a\""),
            "both `user` and `password_file`",
        ),
        (
            format!("{networks}user = \"a\"\npassword = \"\""),
            "the secret is empty",
        ),
        (
            format!("{networks}user = \"a\"\npassword_file = \"empty\""),
            "the secret is empty",
        ),
        (
            format!("{networks}user = \"a\"\npassword = \"a\"\npassword_file = \"empty\""),
            "keep one of the two",
        ),
        (
            format!("{networks}provisioning_url = \"a\\nb\""),
            "expected a URL, or an empty string",
        ),
    ] {
        let report = check(&terminals).expect_err(told).to_string();
        assert!(report.contains(told), "{terminals}\n---\n{report}");
    }
    let whole = format!("{networks}user = \"a\"\npassword = \"b\"\nprovisioning_url = \"\"");
    let settings = check(&whole).unwrap_or_else(|report| panic!("{report}"));
    let terminals = settings.push.unwrap().terminals.unwrap();
    assert_eq!(terminals.port, 4035);
    assert!(terminals.presentation.credentials.is_some());
}

/// Labels and remedies quote what stands in the file, or in a variable of the environment.
#[test]
fn no_label_shows_what_may_be_a_secret() {
    let route = "[[route]]\nmatch = \"http://b.example/\"\nupstream = \"https://b.example/\"\n";
    for rest in [
        "[admin]\ntoken = \"${S3CR3Tx9}\"".to_owned(),
        "[admin]\ntoken_file = \"https://user:S3CR3T@host/x\"".to_owned(),
        "[admin]\ntoken_file = \"S3CR3T/x.y\"".to_owned(),
        "[tls]\nca_file = \"S3CR3T\"".to_owned(),
        "[log]\naccess = \"HTTPS://user:S3CR3T@host/\"".to_owned(),
        "[records]\npath = \"https://user:S3CR3T@host/\"".to_owned(),
        "[protection]\nallow = \"file:S3CR3T\"".to_owned(),
        format!("{route}allowed_methods = \"s3cr3t S3CR3T\""),
        format!("{route}request_headers_file = \"S3CR3T\""),
        format!("{route}insert_identity = {{ \"set X-Key: S3CR3T\" = \"msisdn\" }}"),
    ] {
        let report = parse(&format!("{ROUTE}\n{rest}")).expect_err(&rest);
        let lines: Vec<_> = report.lines().collect();
        let told = format!("{report}\n{}", lines.join("\n"));
        assert!(
            !told.to_ascii_uppercase().contains("S3CR3T"),
            "{rest}\n{told}"
        );
    }
}

#[test]
fn what_is_wrong_with_tracing_is_told() {
    for (keys, told) in [
        ("sample_ratio = 2", "0.01 one in a hundred"),
        ("sample_ratio = -0.5", "0.01 one in a hundred"),
        ("sample_ratio = \"0.5\"", "without quotes"),
        ("sample_ratio = true", "expected a number from 0 to 1"),
        ("timeout = \"2h\"", "from 100ms to 60s"),
        ("max_queued = 0", "from 1 to"),
        (
            "endpont = \"http://a.example/\"",
            "did you mean `endpoint`?",
        ),
    ] {
        let report = report(&format!("[tracing]\n{keys}"));
        assert!(report.contains(told), "{told}: {report}");
    }
}

#[test]
#[cfg(not(feature = "otlp"))]
fn a_program_without_an_export_names_the_feature() {
    for key in [
        "endpoint = \"http://127.0.0.1:4318\"",
        "headers_file = \"a\"",
    ] {
        let report = report(&format!("[tracing]\n{key}"));
        assert!(report.contains("--features otlp"), "{report}");
    }
}

#[test]
#[cfg(feature = "otlp")]
fn a_collector_is_named_by_a_url_and_a_file() {
    let scratch = Scratch::new("otlp");
    scratch.write("right", "# a comment\n\nAuthorization: Bearer top-secret\n");
    scratch.write("wrong", "Authorization: Bearer a\nno field\n");
    let file = |name: &str| scratch.0.join(name).display().to_string();
    for (keys, told) in [
        (
            "endpoint = \"grpc://a.example:4317\"".to_owned(),
            "port 4318",
        ),
        (
            "endpoint = \"a.example\"".to_owned(),
            "http://127.0.0.1:4318",
        ),
        (
            "endpoint = \"http://u:p@a.example\"".to_owned(),
            "headers_file",
        ),
        (
            "endpoint = \"http://a.example?x\"".to_owned(),
            "no place for a query",
        ),
        (
            format!("headers_file = \"{}\"", file("wrong")),
            ":2: this is no field",
        ),
        (
            format!("headers_file = \"{}\"", file("none")),
            "relative to the directory",
        ),
    ] {
        let report = report(&format!("[tracing]\n{keys}"));
        assert!(report.contains(told), "{told}: {report}");
    }
    let right = format!(
        "[tracing]\nendpoint = \"https://a.example\"\nheaders_file = \"{}\"\n{ROUTE}",
        file("right")
    );
    let settings = parse(&right).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(settings.tracing.export.headers.len(), 1);
    assert!(!format!("{settings:?}").contains("top-secret"));
}
