//! SIGHUP and changed files: routes and certificates are read again while the gateway runs.

use super::gateway::{Gateway, configuration};
use crate::support::certificate::new_authority;
use crate::support::origin::echo;

#[test]
fn routes_and_certificates_are_read_again_and_mistakes_change_nothing() {
    let (first, second) = (new_authority("first"), new_authority("second"));
    let (a, b) = (echo(&first, "a"), echo(&second, "b"));
    let configuration = |port| configuration("127.0.0.1:0", port);
    let gateway = Gateway::start("reload", &configuration(a), &first.pem());
    assert_eq!(gateway.get(), "a");

    // A route elsewhere, to an origin that is not trusted.
    gateway.write("wapbridge.toml", &configuration(b));
    gateway.hang_up();
    gateway.says("reloaded");
    assert_eq!(gateway.get(), "502");

    // Another authority, by certificate alone.
    gateway.write("ca.pem", &second.pem());
    gateway.hang_up();
    gateway.says("reloaded");
    assert_eq!(gateway.get(), "b");

    // Mistakes: in a file that is named, then in the configuration itself.
    gateway.write("ca.pem", "nonsense");
    gateway.hang_up();
    gateway.says("the old one stays in force");
    assert_eq!(gateway.get(), "b");
    gateway.write("ca.pem", &second.pem());
    gateway.write("wapbridge.toml", "[[route]]\nmatch = 3\n");
    gateway.hang_up();
    gateway.says("the old one stays in force");
    assert_eq!(gateway.get(), "b");

    // Settings that need a restart are named.
    gateway.write(
        "wapbridge.toml",
        &configuration(b).replace(
            "connectionless = []\n",
            "connectionless = \"127.0.0.1:0\"\n",
        ),
    );
    gateway.hang_up();
    gateway.says("[listen]");
    assert_eq!(gateway.get(), "b");
}

#[test]
fn a_changed_file_is_loaded_where_the_configuration_says_so() {
    let authority = new_authority("watch");
    let (a, b) = (echo(&authority, "a"), echo(&authority, "b"));
    let watched = |port| {
        let all = configuration("127.0.0.1:0", port);
        let (before, route) = all.split_once("[[route]]").unwrap();
        let (route, after) = route.split_once("[tls]").unwrap();
        let main =
            format!("include = \"routes.toml\"\n{before}[server]\nwatch = \"100ms\"\n[tls]{after}");
        (main, format!("[[route]]{route}"))
    };
    let (main, route) = watched(a);
    let files = [("routes.toml", route.as_str())];
    let gateway = Gateway::start_with("watch", &main, &authority.pem(), &files);
    assert_eq!(gateway.get(), "a");

    // As an editor writes: another file takes the place of the old one.
    gateway.write("routes.toml~", &watched(b).1);
    std::fs::rename(gateway.path("routes.toml~"), gateway.path("routes.toml")).unwrap();
    gateway.says("the configuration has changed");
    gateway.says("reloaded");
    assert_eq!(gateway.get(), "b");

    // A mistake is reported once and changes nothing.
    gateway.write("routes.toml", "[[route]]\nmatch = 3\n");
    gateway.says("the old one stays in force");
    assert_eq!(gateway.get(), "b");
    gateway.write("routes.toml", &watched(a).1);
    let mut reports = 0;
    loop {
        let line = gateway.says("");
        reports += usize::from(line.contains("stays in force"));
        if line.contains("routes, limits and certificates reloaded") {
            break;
        }
    }
    assert_eq!(reports, 0, "reported again");
    assert_eq!(gateway.get(), "a");
}
