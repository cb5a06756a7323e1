//! The access log at a syslog server: one datagram for each line (RFC 5424, RFC 5426).
//!
//! A server at a Unix socket gets the form that the C library writes to `/dev/log` (RFC 3164 without
//! a host name), since journald and most local servers read no other.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;

use super::access::Format;

/// A syslog server, and how lines are marked for it. The notation is nginx's:
/// `syslog:server=192.0.2.1:514,facility=local7,tag=wapbridge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// The server.
    pub server: SyslogServer,
    /// The facility's code (RFC 5424 table 1). Default: 23, `local7`.
    pub facility: u8,
    /// The name of the program: up to 32 letters, digits, `_` and `-`. Default: `wapbridge`.
    pub tag: String,
}

/// The address of a syslog server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogServer {
    /// UDP. Default port: 514.
    Udp(SocketAddr),
    /// A Unix datagram socket, such as `/dev/log`.
    Unix(PathBuf),
}

impl FromStr for Syslog {
    type Err = String;

    /// Reads the text behind `syslog:`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut server = None;
        let mut facility = LOCAL7;
        let mut tag = "wapbridge".to_owned();
        for parameter in text.split(',') {
            match parameter.split_once('=') {
                Some(("server", value)) => server = Some(parse_server(value)?),
                Some(("facility", value)) => {
                    let known = FACILITIES.iter().position(|name| *name == value);
                    let code = known
                        .ok_or_else(|| format!("facility is one of {}", FACILITIES.join(", ")))?;
                    facility = u8::try_from(code).unwrap_or(LOCAL7);
                }
                Some(("tag", value)) if is_tag(value) => value.clone_into(&mut tag),
                Some(("tag", _)) => {
                    return Err("tag has 1 to 32 letters, digits, `_` or `-`".to_owned());
                }
                _ => return Err("syslog knows server, facility and tag".to_owned()),
            }
        }
        let server = server.ok_or("name a server: syslog:server=192.0.2.1:514")?;
        Ok(Self {
            server,
            facility,
            tag,
        })
    }
}

fn parse_server(text: &str) -> Result<SyslogServer, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.starts_with('/') {
            true => Ok(SyslogServer::Unix(path.into())),
            false => Err("the path of a Unix socket begins with a slash".to_owned()),
        };
    }
    let with_port = text.parse::<SocketAddr>().ok();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    with_port
        .or_else(|| Some(SocketAddr::new(address?, PORT)))
        .map(SyslogServer::Udp)
        .ok_or_else(|| "server is an address, as 192.0.2.1:514, or unix:/dev/log".to_owned())
}

fn is_tag(text: &str) -> bool {
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    (1..=32).contains(&text.len()) && text.bytes().all(is_part)
}

impl fmt::Display for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facility = FACILITIES.get(usize::from(self.facility));
        let facility = facility.copied().unwrap_or_default();
        f.write_str("syslog:server=")?;
        match &self.server {
            SyslogServer::Udp(address) => write!(f, "{address}")?,
            SyslogServer::Unix(path) => write!(f, "unix:{}", path.display())?,
        }
        write!(f, ",facility={facility},tag={}", self.tag)
    }
}

/// Sends lines to a server.
#[derive(Debug)]
pub(super) struct SyslogSender {
    syslog: Syslog,
    socket: Socket,
    format: Format,
    host: String,
    message: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket, SocketAddr),
    Unix(UnixDatagram, PathBuf),
}

impl SyslogSender {
    /// # Errors
    /// The system refuses a socket.
    pub(super) fn open(syslog: Syslog, format: Format) -> io::Result<Self> {
        let socket = match &syslog.server {
            SyslogServer::Udp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                Socket::Udp(UdpSocket::bind(any)?, *address)
            }
            SyslogServer::Unix(path) => Socket::Unix(UnixDatagram::unbound()?, path.clone()),
        };
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        // A HOSTNAME is printable ASCII without spaces (RFC 5424 6.2.4).
        let is_name = !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_graphic());
        Ok(Self {
            host: if is_name {
                host.into_owned()
            } else {
                "-".to_owned()
            },
            syslog,
            socket,
            format,
            message: Vec::new(),
        })
    }

    pub(super) const fn syslog(&self) -> &Syslog {
        &self.syslog
    }

    /// Sends a line, without its end.
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.message.clear();
        let (time, text) = split(line, self.format);
        let (priority, tag) = (self.syslog.facility << 3 | INFORMATIONAL, &self.syslog.tag);
        let (host, process) = (&self.host, std::process::id());
        match &self.socket {
            Socket::Udp(socket, address) => {
                write!(
                    self.message,
                    "<{priority}>1 {time} {host} {tag} {process} access - "
                )?;
                self.message.extend_from_slice(text);
                socket.send_to(&self.message, address)?;
            }
            Socket::Unix(socket, path) => {
                let time = local_time(time);
                write!(self.message, "<{priority}>{time}{tag}[{process}]: ")?;
                self.message.extend_from_slice(text);
                // The socket has no peer: a server that was started anew is found by its path.
                socket.send_to(&self.message, path)?;
            }
        }
        Ok(())
    }
}

/// The time of a line, and its text without the parts that the header of a message has.
fn split(line: &[u8], format: Format) -> (&str, &[u8]) {
    let (from, text) = match format {
        Format::Text => (0, line.get(TIME + TEXT_LEVEL.len()..).unwrap_or(line)),
        Format::Json => (JSON_TIME.len(), line),
    };
    let time = line.get(from..from + TIME);
    let time = time.and_then(|time| std::str::from_utf8(time).ok());
    (time.unwrap_or("-"), text)
}

/// The time as RFC 3164 4.1.2 has it, with a space behind: `Nov  3 08:10:56 `. Nothing for a time
/// that cannot be read.
fn local_time(time: &str) -> String {
    let month = time.get(5..7).and_then(|month| month.parse::<usize>().ok());
    let month = month.and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let day = time.get(8..10).and_then(|day| day.parse::<u8>().ok());
    match (month, day, time.get(11..19)) {
        (Some(month), Some(day), Some(clock)) => format!("{month} {day:>2} {clock} "),
        _ => String::new(),
    }
}

/// Length of the time in a line of either format.
const TIME: usize = "2026-11-23T08:10:56.123456Z".len();
/// The text between time and subject in a line of text.
const TEXT_LEVEL: &str = "  INFO access: ";
/// The text before the time in a line of JSON.
const JSON_TIME: &str = "{\"timestamp\":\"";

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The facilities by code (RFC 5424 table 1), with the names of `syslog.conf`.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const LOCAL7: u8 = 23;
/// The severity (RFC 5424 table 2).
const INFORMATIONAL: u8 = 6;
/// RFC 5426 3.3.
const PORT: u16 = 514;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"2026-11-03T08:10:56.123456Z  INFO access: exchange status=200";
    const JSON: &[u8] =
        b"{\"timestamp\":\"2026-11-03T08:10:56.123456Z\",\"level\":\"INFO\",\"message\":\"exchange\"}";

    #[test]
    fn a_server_is_written_as_nginx_has_it() {
        for (text, shown) in [
            (
                "server=192.0.2.1",
                "syslog:server=192.0.2.1:514,facility=local7,tag=wapbridge",
            ),
            (
                "server=[2001:db8::1],facility=local0,tag=gw-1",
                "syslog:server=[2001:db8::1]:514,facility=local0,tag=gw-1",
            ),
            (
                "server=unix:/dev/log,facility=daemon",
                "syslog:server=unix:/dev/log,facility=daemon,tag=wapbridge",
            ),
        ] {
            let syslog: Syslog = text.parse().unwrap();
            assert_eq!(syslog.to_string(), shown);
            assert_eq!(shown.strip_prefix("syslog:").unwrap().parse(), Ok(syslog));
        }
        for (text, words) in [
            ("", "syslog knows server"),
            ("tag=a", "name a server"),
            ("server=log.example:514", "server is an address"),
            ("server=unix:log", "begins with a slash"),
            ("server=::1,facility=local8", "facility is one of kern"),
            ("server=::1,tag=a b", "tag has 1 to 32"),
            ("server=::1,severity=info", "syslog knows server"),
        ] {
            let error = text.parse::<Syslog>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_over_udp_gets_rfc_5424() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let syslog: Syslog = format!("server={address}").parse().unwrap();
        let mut received = [0; 500];
        for (format, line, text) in [
            (Format::Text, TEXT, &b"exchange status=200"[..]),
            (Format::Json, JSON, JSON),
        ] {
            let mut sender = SyslogSender::open(syslog.clone(), format).unwrap();
            sender.send(line).unwrap();
            let len = server.recv(&mut received).unwrap();
            let (host, process) = (sender.host, std::process::id());
            let head =
                format!("<190>1 2026-11-03T08:10:56.123456Z {host} wapbridge {process} access - ");
            assert_eq!(received[..len], [head.as_bytes(), text].concat());
        }
    }

    #[test]
    fn a_server_at_a_unix_socket_gets_the_local_form_also_after_its_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let syslog: Syslog = format!("server=unix:{},facility=daemon", path.display())
            .parse()
            .unwrap();
        let mut sender = SyslogSender::open(syslog, Format::Text).unwrap();
        assert!(sender.send(TEXT).is_err());
        for _ in 0..2 {
            let server = UnixDatagram::bind(&path).unwrap();
            sender.send(TEXT).unwrap();
            let mut received = [0; 500];
            let len = server.recv(&mut received).unwrap();
            let process = std::process::id();
            let expected = format!("<30>Nov  3 08:10:56 wapbridge[{process}]: exchange status=200");
            assert_eq!(std::str::from_utf8(&received[..len]), Ok(expected.as_str()));
            drop(server);
            std::fs::remove_file(&path).unwrap();
        }
    }
}
