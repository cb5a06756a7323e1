//! SIGHUP: routes and certificates are read again while the gateway runs.

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
