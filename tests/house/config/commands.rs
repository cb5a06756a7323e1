//! `wapbridge check` and `wapbridge route`.

use std::process::Command;

use wapbridge::config::Settings;

use super::{ROUTE, Scratch, text, wapbridge};

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
fn version_tells_the_version_first() {
    let scratch = Scratch::new("version");
    let said = wapbridge(&scratch.0, &["--version"], &[]);
    assert_eq!(said.status.code(), Some(0));
    // In a release commit and date follow.
    let words = text(&said.stdout);
    let words: Vec<&str> = words.split_whitespace().collect();
    assert_eq!(words[..2], ["wapbridge", env!("CARGO_PKG_VERSION")]);
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

    // On a host without a certificate store the file alone is enough, and without it nobody is
    // trusted.
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
#[cfg(feature = "wtls")]
fn a_route_may_ask_for_wtls_and_nothing_else() {
    let scratch = Scratch::new("secured");
    scratch.write(
        "wapbridge.toml",
        "[listen]\nsecure_connection_mode = \"127.0.0.1:9203\"\n[wtls]\nkey_exchanges = [\"ECDH_anon\"]\n\
         [[route]]\nname = \"secure\"\nsecured = true\nupstream = \"https://dm.example/\"\n",
    );
    let route = |arguments: &[&str]| {
        let arguments = [&["route"], arguments, &["http://a.example/x"]].concat();
        let output = wapbridge(&scratch.0, &arguments, &[]);
        text(&output.stdout) + &text(&output.stderr)
    };
    let said = route(&["--secured"]);
    assert!(said.contains("route secure: yes"), "{said}");
    assert!(said.ends_with("GET https://dm.example/x\n"), "{said}");
    let said = route(&[]);
    assert!(said.contains("no, another security"), "{said}");
}

#[test]
fn a_configuration_may_be_of_several_files_and_take_values_from_the_environment() {
    let scratch = Scratch::new("include");
    std::fs::create_dir(scratch.0.join("conf.d")).unwrap();
    scratch.write(
        "wapbridge.toml",
        "include = [\"conf.d/*.toml\", \"limits.toml\"]\n[admin]\ntoken = \"${GATEWAY_TOKEN}\"\n",
    );
    scratch.write("conf.d/10-a.toml", ROUTE);
    scratch.write(
        "conf.d/20-b.toml",
        &ROUTE.replace("sync.example", "other.example"),
    );
    scratch.write("conf.d/30-c.off", "nonsense");
    scratch.write("limits.toml", "[limits]\nmax_sessions = 1000\n");
    let environment = [("GATEWAY_TOKEN", "S3CR3T-and-long-enough")];
    let check = |environment: &[(&str, &str)]| {
        let checked = wapbridge(&scratch.0, &["check"], environment);
        (text(&checked.stdout), text(&checked.stderr))
    };
    let (said, complained) = check(&environment);
    assert!(
        said.contains("route 1") && said.contains("other.example"),
        "{said}{complained}"
    );
    let (_, complained) = check(&[]);
    assert!(
        complained.contains("GATEWAY_TOKEN is not set"),
        "{complained}"
    );
    scratch.write("limits.toml", "# one\n[limits]\nmax_sesions = 1000\n");
    let (_, complained) = check(&environment);
    assert!(complained.contains("limits.toml:3:1"), "{complained}");
    assert!(!complained.contains("S3CR3T"), "{complained}");
    scratch.write(
        "limits.toml",
        "[admin]\ntoken = \"S3CR3T-of-another-file\"\n",
    );
    let (_, complained) = check(&environment);
    assert!(
        complained.contains("`token` is set in two files"),
        "{complained}"
    );
    assert!(!complained.contains("S3CR3T"), "{complained}");
}

/// A file beside the configuration has the rules that nobody else may read.
#[test]
fn header_rules_may_stand_in_a_file_of_their_own() {
    let scratch = Scratch::new("rules");
    scratch.write("origin.headers", "set X-Key: S3CR3T\n\nremove X-Foo\n");
    let source = format!("{ROUTE}request_headers_file = \"origin.headers\"\n");
    let settings = Settings::parse(&source, "wapbridge.toml", &scratch.0).unwrap();
    let route = settings.routes.iter().next().unwrap();
    assert_eq!(route.headers.request.len(), 2);
    assert!(!toml::to_string(&settings).unwrap().contains("S3CR3T"));
    scratch.write("origin.headers", "# rules\nsett X-Key: S3CR3T\n");
    let report = Settings::parse(&source, "wapbridge.toml", &scratch.0).unwrap_err();
    let report = report.to_string();
    assert!(report.contains("origin.headers:2"), "{report}");
    assert!(!report.contains("S3CR3T"), "{report}");
}

#[test]
fn check_warns_and_can_be_strict_for_machines_and_read_standard_input() {
    let scratch = Scratch::new("strict");
    let source =
        format!("{ROUTE}[admin]\ntoken = \"change-me-before-use\"\n[wtp]\nsend_group = 100\n");
    scratch.write("wapbridge.toml", &source);
    let checked = wapbridge(&scratch.0, &["check"], &[]);
    assert!(checked.status.success());
    let warned = text(&checked.stderr);
    assert!(
        warned.contains("wapbridge.toml:5:1") && warned.contains("is from a public example"),
        "{warned}"
    );
    assert!(!warned.contains("change-me"), "{warned}");
    for arguments in [
        &["check", "--strict"][..],
        &["check", "--strict", "-c", "wapbridge.toml"],
    ] {
        assert!(!wapbridge(&scratch.0, arguments, &[]).status.success());
    }
    let checked = wapbridge(&scratch.0, &["check", "--json"], &[]);
    let shown: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(shown["ok"], true);
    let warnings = shown["warnings"].as_array().unwrap();
    assert!(
        warnings
            .iter()
            .any(|it| it["file"] == "wapbridge.toml" && it["line"] == 5)
    );
    scratch.write("wapbridge.toml", "[log]\nlevel = \"loud\"\n");
    let checked = wapbridge(&scratch.0, &["check", "--json"], &[]);
    assert!(!checked.status.success());
    let shown: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(shown["ok"], false);
    let errors = shown["errors"].as_array().unwrap();
    assert!(errors.iter().any(|error| error["line"] == 2), "{shown}");

    let mut check = Command::new(env!("CARGO_BIN_EXE_wapbridge"))
        .args(["check", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = check.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, ROUTE.as_bytes()).unwrap();
    drop(stdin);
    let checked = check.wait_with_output().unwrap();
    assert!(checked.status.success());
    assert!(text(&checked.stdout).contains("RADIUS accounting"));
}
