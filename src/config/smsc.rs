//! `[[smsc]]`: the SMS centres that carry pushes to phones without a data session.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::report::Problem;
use super::secret;
use super::section::Section;
use super::value::{Value, Wrong, string, text, words};
use crate::limit::Rate;
use crate::smpp::{Config, Number, Password};
use crate::smsc::{ReceiptId, ReferenceSize, Settings};

/// Reads the sections, in the order in which centres are tried.
pub(super) fn read(sections: &[Section<'_, '_>], directory: &Path) -> Vec<Settings> {
    let mut names: Vec<(Arc<str>, Range<usize>)> = Vec::new();
    let mut centres = Vec::new();
    for (number, section) in (1..).zip(sections) {
        let Some(settings) = read_one(section, number, directory) else {
            continue;
        };
        let at = section.at().unwrap_or(0..0);
        if let Some((_, earlier)) = names.iter().find(|(name, _)| *name == settings.name) {
            section.problem(Problem {
                title: format!("two SMS centres are named {}", settings.name),
                at: at.clone(),
                label: "this one".to_owned(),
                related: Some((earlier.clone(), "and this one".to_owned())),
                help: "metrics and logs tell them apart by `name`".to_owned(),
            });
        }
        names.push((Arc::clone(&settings.name), at));
        centres.push(settings);
    }
    centres
}

fn read_one(section: &Section<'_, '_>, number: usize, directory: &Path) -> Option<Settings> {
    let base = Settings::default();
    let name = section.or("name", number.to_string());
    if !section.has("address") {
        section.missing("`address`", "add it: \"smsc.example.net:2775\"");
    }
    let address = section.get::<HostPort>("address");
    let tls = section.or("tls", base.tls);
    let prefixes = section.or("prefixes", Prefixes::default()).0;
    let session = read_session(section, directory);
    let settings = Settings {
        name: name.into(),
        tls,
        prefixes,
        queue: section.within("queue", 1..=1_000_000, base.queue),
        max_receipts: section.within("max_receipts", 1..=10_000_000, base.max_receipts),
        receipt_timeout: section.within(
            "receipt_timeout",
            Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3_600),
            base.receipt_timeout,
        ),
        receipt_id: section.or("receipt_id", base.receipt_id),
        reference: section.or("reference", base.reference),
        connect_timeout: section.within("connect_timeout", TIMES, base.connect_timeout),
        reconnect_min: section.within("reconnect_min", TIMES, base.reconnect_min),
        reconnect_max: section.within("reconnect_max", TIMES, base.reconnect_max),
        session,
        ..base
    };
    if let Err(error) = settings.session.check() {
        section.problem(Problem {
            title: format!("invalid `{}` in [[smsc]]", error.field),
            at: section.at().unwrap_or(0..0),
            label: error.to_string(),
            related: None,
            help: "SMPP 3.4 has no room for more".to_owned(),
        });
        return None;
    }
    let HostPort { host, port } = address?;
    Some(Settings {
        host,
        port,
        ..settings
    })
}

fn read_session(section: &Section<'_, '_>, directory: &Path) -> Config {
    let base = Config::default();
    if !section.has("system_id") {
        section.missing("`system_id`", "the centre's operator gives it");
    }
    let per_second = section.optional("rate", 1..=100_000_u32);
    let octet = |key, default| section.within(key, 0..=u8::MAX, default);
    let password = secret::read(section, directory, "password", "password_file");
    let password = password.map(|(password, _)| Password::new(password.reveal()));
    Config {
        system_id: section.get("system_id").unwrap_or_default(),
        password: password.unwrap_or_default(),
        system_type: section.get("system_type").unwrap_or_default(),
        service_type: section.get("service_type").unwrap_or_default(),
        source: section.get("source").unwrap_or_default(),
        source_number: Number {
            ton: octet("source_ton", base.source_number.ton),
            npi: octet("source_npi", base.source_number.npi),
        },
        destination_number: Number {
            ton: octet("destination_ton", base.destination_number.ton),
            npi: octet("destination_npi", base.destination_number.npi),
        },
        data_coding: section.or("data_coding", DataCoding(base.data_coding)).0,
        esm_class: section.within("esm_class", 0x40..=0x43, base.esm_class),
        receipts: section.or("receipts", base.receipts),
        window: section.within("window", 1..=10_000, base.window),
        rate: per_second.map(|per_second| Rate {
            per_second,
            burst: 1,
        }),
        enquire_link: section.within("enquire_link", TIMES, base.enquire_link),
        response_timeout: section.within("response_timeout", TIMES, base.response_timeout),
    }
}

/// A host name or an address, and a port.
struct HostPort {
    host: String,
    port: u16,
}

impl Value for HostPort {
    const EXPECTED: &'static str = "a host and its port such as \"smsc.example.net:2775\"";

    fn show(&self) -> toml::Value {
        match self.host.contains(':') {
            true => string(format!("[{}]:{}", self.host, self.port)),
            false => string(format!("{}:{}", self.host, self.port)),
        }
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        let wrong = || {
            Wrong::new(
                format!("expected {}", Self::EXPECTED),
                "2775 is SMPP's port",
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(wrong)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let is_host = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet);
        if host.is_empty() || !host.bytes().all(is_host) || (bare.is_none() && host.contains(':')) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Beginnings of numbers.
#[derive(Default)]
struct Prefixes(Vec<Box<str>>);

impl Value for Prefixes {
    const EXPECTED: &'static str = "beginnings of numbers such as [\"49\", \"43660\"]";

    fn show(&self) -> toml::Value {
        let prefixes = self.0.iter().map(|prefix| string(&**prefix));
        toml::Value::Array(prefixes.collect())
    }

    fn schema() -> serde_json::Value {
        Vec::<String>::schema()
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let wrong = || {
            let help = "digits with the country code, without + and zeros in front of it";
            Wrong::new(format!("expected {}", Self::EXPECTED), help)
        };
        let one = [value.as_str()];
        let prefixes = match value.as_array() {
            Some(array) => array.iter().map(|item| item.get_ref().as_str()).collect(),
            None => one.to_vec(),
        };
        let is_prefix = |text: &&str| {
            (1..=20).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
        };
        let read = |text: Option<&str>| text.filter(is_prefix).map(Box::from).ok_or_else(wrong);
        prefixes
            .into_iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Octet of data_coding.
struct DataCoding(u8);

impl Value for DataCoding {
    const EXPECTED: &'static str = "0x04 or 0xF5";

    fn show(&self) -> toml::Value {
        toml::Value::Integer(self.0.into())
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "enum": [0x04, 0xF5] })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match u8::read(value)? {
            octet @ (0x04 | 0xF5) => Ok(Self(octet)),
            _ => Err(Wrong::new(
                format!("expected {}", Self::EXPECTED),
                "a datagram has eight bits: 0x04 says no more, 0xF5 says class 1 too",
            )),
        }
    }
}

words!(
    ReceiptId,
    "\"same\" or \"decimal\"",
    [("same", Self::Same), ("decimal", Self::Decimal)]
);

words!(
    ReferenceSize,
    "\"8bit\" or \"16bit\"",
    [("8bit", Self::Short), ("16bit", Self::Long)]
);

/// The range of times.
const TIMES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::config::Settings;
    use crate::smpp::Number;
    use crate::smsc::{ReceiptId, ReferenceSize};

    const ROUTE: &str =
        "[[route]]\nmatch = \"http://a.example/\"\nupstream = \"https://a.example/\"\n";

    fn parse(rest: &str) -> Result<Settings, String> {
        let text = format!("{ROUTE}{rest}");
        Settings::parse(&text, "wapbridge.toml", Path::new("")).map_err(|report| report.to_string())
    }

    #[test]
    fn a_centre_is_read() {
        let settings = parse(
            "[[smsc]]\nname = \"north\"\naddress = \"smsc.example.net:2775\"\ntls = true\nsystem_id = \"wap\"\n\
             password = \"secret\"\nsource = \"7788\"\nsource_ton = 3\nprefixes = [\"49\", \"43\"]\nwindow = 5\nrate = 20\n\
             data_coding = 0xF5\nesm_class = 0x43\nreference = \"16bit\"\nreceipt_id = \"decimal\"\nenquire_link = \"10s\"\n\
             [[smsc]]\naddress = \"[2001:db8::1]:2776\"\nsystem_id = \"wap\"\n",
        )
        .unwrap();
        let [north, second] = &settings.smsc[..] else {
            panic!("{:?}", settings.smsc)
        };
        assert_eq!(
            (&*north.name, &*north.host, north.port),
            ("north", "smsc.example.net", 2775)
        );
        assert_eq!(north.session.source_number, Number { ton: 3, npi: 0 });
        assert_eq!(
            (north.session.data_coding, north.session.esm_class),
            (0xF5, 0x43)
        );
        assert_eq!(
            (north.reference, north.receipt_id),
            (ReferenceSize::Long, ReceiptId::Decimal)
        );
        assert_eq!(north.session.enquire_link, Duration::from_secs(10));
        assert_eq!(north.takes("43660"), Some(2));
        assert_eq!(
            (&*second.name, &*second.host, second.port),
            ("2", "2001:db8::1", 2776)
        );
        assert_eq!(second.takes("1"), Some(0));
    }

    #[test]
    fn what_smpp_has_no_room_for_is_refused() {
        let centre = "[[smsc]]\naddress = \"a:2775\"\nsystem_id = \"wap\"\n";
        for (rest, word) in [
            ("password = \"ninechars\"\n", "password takes at most 8"),
            ("data_coding = 0\n", "expected 0x04 or 0xF5"),
            ("prefixes = \"+49\"\n", "expected beginnings of numbers"),
            ("esm_class = 0\n", "less than"),
            (
                "[[smsc]]\nname = \"1\"\naddress = \"b:2775\"\nsystem_id = \"wap\"\n",
                "two SMS centres are named 1",
            ),
            (
                "[[smsc]]\nname = \"x\"\naddress = \"b\"\nsystem_id = \"wap\"\n",
                "expected a host and its port",
            ),
            (
                "[[smsc]]\nname = \"x\"\naddress = \"b:1\"\n",
                "has no `system_id`",
            ),
        ] {
            let report = parse(&format!("{centre}{rest}")).unwrap_err();
            assert!(report.contains(word), "{word} in {report}");
        }
    }
}
