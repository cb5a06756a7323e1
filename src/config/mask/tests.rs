//! Every form of a secret in a configuration, and what stays readable.

use super::*;

fn keys() -> Keys {
    Keys::from([
        ("admin", Sensitivity::Plain),
        ("listen", Sensitivity::Plain),
        ("upstream", Sensitivity::Plain),
        ("shards", Sensitivity::Plain),
        ("hosts", Sensitivity::Plain),
        ("key", Sensitivity::File),
        ("radius", Sensitivity::Plain),
        ("client", Sensitivity::Plain),
        ("network", Sensitivity::Plain),
        ("token", Sensitivity::Secret),
        ("secret", Sensitivity::Secret),
        ("subscribers", Sensitivity::Secret),
        ("request_headers", Sensitivity::Rule),
    ])
}

/// Every form, right or wrong, in which a secret may be written. `S3CR3T` must never appear.
#[test]
fn no_form_of_a_secret_is_shown() {
    for source in [
        "[admin]\ntoken = \"S3CR3T\"",
        "token = 'S3CR3T'",
        "token = \"S3CR3T",
        "token = S3CR3T\"",
        "token = S3CR3T",
        "token=S3CR3T",
        "token \"S3CR3T\"",
        "token S3CR3T",
        "token: S3CR3T",
        "token: \"S3CR3T\"",
        "token = = \"S3CR3T\"",
        "token := \"S3CR3T\"",
        "token = \"a\" \"S3CR3T\"",
        "token = \"a\"S3CR3T\"",
        "token = \"a\\\"S3CR3T\"",
        "token = [\"S3CR3T\"]",
        "token = [\n\"S3CR3T\",\n]",
        "token = [\n\"S3CR3T\"",
        "token = { value = \"S3CR3T\" }",
        "token.value = \"S3CR3T\"",
        "token = \"\"\"\nS3CR3T\n\"\"\"",
        "token = \"\"\"S3CR3T",
        "token = '''\nS3CR3T\nmore\n'''",
        "token = \"\"\"\nfirst\nS3CR3T",
        "token =\nS3CR3T",
        "token =\n\"S3CR3T\"",
        "token = 7 # S3CR3T",
        "# token = \"S3CR3T\"",
        "tokn = \"S3CR3T\"",
        "TOKEN = \"S3CR3T\"",
        "Token=S3CR3T",
        "api_key = \"S3CR3T\"",
        "\"token\" = \"S3CR3T\"",
        "\"S3CR3T\" = token",
        "S3CR3T = \"token\"",
        "S3CR3T",
        "\"S3CR3T\"",
        "[S3CR3T]",
        "[\"S3CR3T\"]",
        "radius = { client = { secret = \"S3CR3T\" } }",
        "client = [{ network = \"10.0.0.0/8\", secret = \"S3CR3T\" }]",
        "client = [{ network = \"10.0.0.0/8\", secret = \"S3CR3T\"",
        "client = [{ network = \"10.0.0.0/8\", secrt = 'S3CR3T' }]",
        "client = [\n{ network = \"10.0.0.0/8\",\nsecret = \"S3CR3T\" }\n]",
        "listen = \"a\" secret = \"S3CR3T\"",
        "listen = \"a\" \"S3CR3T\"",
        "listen = \"a\", \"S3CR3T\"",
        "listen = \"\"\"\ntoken = \"S3CR3T\"",
        "listen = [\"a\"\n[admin]\ntoken = \"S3CR3T\"",
        "listen = [\"a\"\n[admin]\ntokn = \"S3CR3T\"",
        "listen = [\"a\",\ntoken = \"S3CR3T\"",
        "subscribers = [\"10.1.2.3,S3CR3T\"]",
        "subscribers = [\n  \"10.1.2.3,S3CR3T\",\n]",
        "request_headers = [\"set X-Key: S3CR3T\"]",
        "request_headers = \"set Authorization: Bearer S3CR3T\"",
        "request_headers = [\n\"set Authorization: Basic S3CR3T==\",\n]",
        "request_headers = \"sett X-Key: S3CR3T\"",
        "request_headers = \"set X-Key S3CR3T\"",
        "request_headers = \"set  X-Key: S3CR3T\"",
        "request_headers = \"X-Key: S3CR3T\"",
        "request_headers = \"X-Key S3CR3T\"",
        "request_headers = { \"X-Key\" = \"S3CR3T\" }",
        "upstream = \"https://user:S3CR3T@host/\"",
        "upstream = \"htps://S3CR3T@host/\"",
        "upstream = \"http:/user:S3CR3T@host/\"",
        "upstream = \"//user:S3CR3T@host/\"",
        "upstream = \"user:S3CR3T@host\"",
        "upstream = \"https://user:p@S3CR3T@host/\"",
        "upstream = \"https://host/?key=S3CR3T\"",
        "upstream = \"redis://:S3CR3T@host:6379/0\"",
        "upstream = [\"https://a/\", \"https://user:S3CR3T@b/\"]",
        "upstream = \"https://host/#S3CR3T\"",
        "upstream = \"https://host/;key=S3CR3T\"",
        "key = \"S3CR3T\"",
        "key = \"-----BEGIN PRIVATE KEY-----S3CR3T\"",
        "key = \"MIIEvQ/S3CR3T+A==\"",
        "token = \"first\nlisten = S3CR3T\"",
        "token = \"first\nlisten = word-S3CR3T\"",
        "token = 'first\nlisten = 'hunter-S3CR3T'",
        "token = \\\n  listen = S3CR3T",
        "token = \"a\\\nlisten = S3CR3T\"",
        "token = \"\"\"a\\\"\"\"\nlisten = \"S3CR3T\"\n\"\"\"",
        "token = \"\"\"a\\\"\"\"\nlisten = S3CR3T\n\"\"\"",
        "token = { listen = \"S3CR3T\" }",
        "token = { listen = \"S3CR3T\"\nlisten = \"S3CR3T\"",
        "token = [{ listen = \"S3CR3T\" }]",
        "token = { listen = { listen = \"S3CR3T\" } }",
        "token = {\nlisten = \"S3CR3T\" }",
        "token.listen = \"S3CR3T\"",
        "token . listen = \"S3CR3T\"",
        "token.\"listen\" = \"S3CR3T\"",
        "[token]\nlisten = \"S3CR3T\"",
        "[ token ]\nlisten = S3CR3T",
        "[\"token\"]\nlisten = \"S3CR3T",
        "[[admin.token]]\nlisten = \"S3CR3T\"",
        "listen = \"S3CR3T\"",
        "listen = S3CR3T",
        "token = \"a\", listen = \"S3CR3T\"",
        "admin = \"S3CR3T\"",
        "key = \"https://user:S3CR3T@host/x\"",
        "key = \"dir/S3CR3T/x.y\"",
        "key = { listen = \"S3CR3T\" }",
        "upstream = redis://user:S3CR3T@host/",
        "upstream = https://host/?key=S3CR3T",
        "upstream = \"https://user:S3CR3T%40host/\"",
        "upstream = \"https://user:S3CR3T\\u0040host/\"",
        "upstream = \"https://user:S3CR3T\u{ff20}host/\"",
        "upstream = \"https://user:S3CR3T\"",
        "upstream = \"https://host/%3Fkey=S3CR3T\"",
        "upstream = \"https://host/&key=S3CR3T\"",
        "upstream = \"https://host/ user:S3CR3T@host\"",
        "upstream = \"https://user:p?S3CR3T@host/\"",
        "upstream = \"https://user:p#S3CR3T@host/\"",
        "upstream = \"https://host/?a=${S3CR3T}\"",
        "request_headers = set X-Key: S3CR3T",
        "request_headers = [set X-Key: S3CR3T]",
        "request_headers = \"set X-Key=S3CR3T\"",
        "request_headers = \"set X-Key\u{ff1a}S3CR3T\"",
        "request_headers = \"set S3CR3T\"",
        "request_headers = \"remove S3CR3T\"",
        "request_headers = \"rename X-Key S3CR3T\"",
        "request_headers = \"rename X-A: X-B S3CR3T\"",
        "request_headers = \"S3CR3T\"",
        "request_headers = \"S3CR3T: x\"",
        "request_headers = { listen = \"set X-Key: S3CR3T\" }",
        "request_headers = [{ listen = \"S3CR3T\" }]",
        "hosts = \"set X-Key: S3CR3T\"",
        "listen = [\"a\" \"S3CR3T\"]",
    ] {
        let masked = Masked::new(source, &keys());
        assert!(
            !masked.text().contains("S3CR3T"),
            "{source}\n{}",
            masked.text()
        );
        assert_eq!(
            masked.text().lines().count(),
            source.lines().count(),
            "{source}\n{}",
            masked.text()
        );
    }
}

#[test]
fn what_is_not_secret_is_shown() {
    for source in [
        "[listen]\nlisten = \"0.0.0.0:9201\"",
        "[[client]]\nnetwork = \"10.9.0.0/16\"",
        "listen = [\"0.0.0.0:9201\", '[::]:9201']",
        "listen = [\n  \"0.0.0.0:9201\",\n  \"x\",\n]",
        "shards = many",
        "shards = 12",
        "lisetn = ",
        "key = \"tls/gateway.key\"",
        "key = \"gateway-key\"",
        "upstream = \"https://host:8443/path\"",
        "request_headers = [\"remove Cookie\", \"rename X-A: X-B\"]",
        "admin = { listen = \"127.0.0.1:1\", hosts = [\"a\"] }",
        "[listen",
    ] {
        assert_eq!(Masked::new(source, &keys()).text(), source);
    }
    let shown = |source| Masked::new(source, &keys()).text;
    assert_eq!(
        shown("upstream = \"https://user:pw@host/x?y=z\""),
        "upstream = \"https://***@host/x?***\""
    );
    assert_eq!(
        shown("request_headers = [\"set X-Key: abc\"]"),
        "request_headers = [\"set X-Key***\"]"
    );
}

#[test]
fn places_move_with_the_text() {
    let source = "token = \"abcdefghij\"\nlisten = \"x\"\n";
    let masked = Masked::new(source, &keys());
    let moved = |part: &str| {
        let at = source.find(part).unwrap();
        &masked.text()[masked.place(&(at..at + part.len()))]
    };
    assert_eq!(moved("listen"), "listen");
    assert_eq!(moved("\"x\""), "\"x\"");
    assert_eq!(moved("token"), "token");
    assert_eq!(moved("\"abcdefghij\""), "\"***\"");
    assert_eq!(moved("cde"), "***");
    assert_eq!(moved("hij\""), "***\"");
}
