//! Settings arrive where they belong.

use std::time::Duration;

use http::Method;
use wapbridge::config::Settings;
use wapbridge::record::Format;
use wapbridge::route::{Affinity, Balance, HostPolicy, Outlier, RequestView, RetryBudget};

use super::{ROUTE, parse, problems};

fn target(settings: &Settings, uri: &str, port: u16) -> Option<String> {
    let request = RequestView {
        uri,
        method: &Method::POST,
        local_port: port,
        secured: false,
        binding: wapbridge::route::Binding::Wsp,
        obex_target: None,
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
    assert_eq!(headers.identity.as_slice(), ["x-who"]);
}

#[test]
fn a_route_may_check_eject_and_limit_its_hosts() {
    let route = |keys: &str| {
        let source = format!(
            "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://ds.example/\"\n{keys}\n"
        );
        let settings = parse(&source).unwrap_or_else(|report| panic!("{report}"));
        settings.routes.iter().next().unwrap().host_policy.clone()
    };
    assert_eq!(route(""), HostPolicy::default());
    let inline = route(
        "max_requests = 7\nhealth_check = { path = \"/ok?x\", interval = \"2s\", expect = [204, \"3xx\"] }\n\
         outlier = { consecutive = 2, base = \"1s\", max = \"4s\" }",
    );
    let check = inline.check.clone().unwrap();
    assert_eq!(
        (check.path.as_str(), check.interval),
        ("/ok?x", Duration::from_secs(2))
    );
    assert_eq!(check.timeout, Duration::from_secs(2));
    let statuses = check.expect.iter().map(ToString::to_string);
    assert_eq!(statuses.collect::<Vec<_>>(), ["204", "300-399"]);
    let outlier = inline.outlier.unwrap();
    assert_eq!(
        (outlier.consecutive, outlier.max),
        (2, Duration::from_secs(4))
    );
    assert_eq!(inline.max_requests, Some(7));
    let tables = route(
        "max_requests = 7\n[route.outlier]\nconsecutive = 2\nbase = \"1s\"\nmax = \"4s\"\n\
         [route.health_check]\npath = \"/ok?x\"\ninterval = \"2s\"\nexpect = [\"204\", \"300-399\"]",
    );
    assert_eq!(tables, inline);
    assert_eq!(route("[route.outlier]").outlier, Some(Outlier::default()));
    let hosts = route(
        "balance = \"least_outstanding\"\naffinity = \"address\"\nslow_start = \"30s\"\n\
         retry_budget = { min_retry_concurrency = 7 }",
    );
    assert_eq!(hosts.balance, Balance::LeastOutstanding);
    assert_eq!(hosts.affinity, Affinity::Address);
    assert_eq!(hosts.slow_start, Duration::from_secs(30));
    let budget = RetryBudget {
        min_retry_concurrency: 7,
        ..RetryBudget::default()
    };
    assert_eq!(hosts.retry_budget, Some(budget));
    let long = route("outlier = { base = \"10m\" }").outlier.unwrap();
    assert_eq!(long.max, Duration::from_secs(600));
}

#[test]
fn hosts_may_have_weights() {
    let route = |upstream: &str| {
        let source = format!("[[route]]\nmatch = \"http://a.example/\"\nupstream = {upstream}\n");
        let settings = parse(&source).unwrap_or_else(|report| panic!("{report}"));
        let route = settings.routes.iter().next().unwrap();
        let hosts = route.hosts().map(|host| host.authority().to_owned());
        (hosts.collect::<Vec<_>>(), route.host_policy.weights.clone())
    };
    let (hosts, weights) = route(
        "[\"https://a.example/\", { url = \"https://b.example:1/\", weight = 3 }, { url = \"https://c.example/\" }]",
    );
    assert_eq!(hosts, ["a.example", "b.example:1", "c.example"]);
    assert_eq!(weights, [1, 3, 1]);
    let (hosts, weights) = route("{ url = \"https://a.example/\", weight = 2 }");
    assert_eq!((hosts.len(), weights), (1, vec![2]));
    let (_, weights) = route("[\"https://a.example/\", \"https://b.example/\"]");
    assert!(weights.is_empty());
}

#[test]
fn two_routes_may_reach_one_host_in_different_ways() {
    let source = "[[route]]\nmatch = \"https://b.example/\"\nupstream = \"as-requested\"\n\
        [[route]]\nmatch = \"http://c.example/\"\nupstream = \"https://b.example/\"\n\
        http_proxy = \"http://p.example/\"\n\
        [[route]]\nmatch = \"http://d.example/\"\nupstream = \"https://b.example/\"\n\
        tls_min_version = \"1.3\"\n";
    assert!(parse(source).is_ok());
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
    assert_eq!(core.headers.drop_to_handset.as_slice(), ["x-big"]);
}

#[cfg(feature = "wtls")]
#[test]
fn what_the_secure_ports_agree_on_arrives() {
    use wapbridge::wtls::KeyExchange;

    let secure = "[listen]\nsecure_connection_mode = \"0.0.0.0:9203\"\n";
    let settings = parse(&format!(
        "{secure}[wtls]\nkey_exchanges = [\"ECDH_anon\", \"RSA_anon_768\"]\nidle_timeout = \"2h\"\n{ROUTE}"
    ))
    .unwrap_or_else(|report| panic!("{report}"));
    let expected = [KeyExchange::ECDH_ANON, KeyExchange::RSA_ANON_768];
    assert_eq!(settings.wtls.key_exchanges, expected);
    assert_eq!(settings.wtls.idle_timeout, Duration::from_secs(7_200));

    let refused = |line: &str| {
        let found = problems(&format!("{secure}[wtls]\n{line}\n{ROUTE}"));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].1.clone()
    };
    assert_eq!(refused("key_exchanges = [\"ECDH\"]"), "\"ECDH\"");
    assert_eq!(refused("key_exchanges = []"), "[]");
    // Without `key` and `certificate` no handshake could succeed.
    let impossible = "[\"RSA\", \"RSA_anon\"]";
    let named = refused(&format!("key_exchanges = {impossible}"));
    assert_eq!(named, impossible);
    assert_eq!(refused("idle_timeout = \"59s\""), "\"59s\"");
}
