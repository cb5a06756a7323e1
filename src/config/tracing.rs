//! `[tracing]`: the part of the traces that is sampled, and the collector that gets their spans.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::mask;
use super::report::Problem;
use super::section::Section;
use super::value::{Value, Wrong, pattern, string, text, wrong_type};
use crate::record::spans::ExportSettings;
use crate::trace_context::SampleRatio;

/// Settings of tracing.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingSettings {
    /// The part of the traces that is sampled, from 0 to 1. A trusted proxy decides for the traces
    /// that it began. Default: 1, which means all.
    pub sample_ratio: SampleRatio,
    /// The export of spans to a collector.
    pub export: ExportSettings,
}

impl Default for TracingSettings {
    fn default() -> Self {
        Self {
            sample_ratio: SampleRatio::ALL,
            export: ExportSettings::default(),
        }
    }
}

impl TracingSettings {
    pub(super) fn read(section: &Section<'_, '_>, directory: &Path) -> Self {
        let base = Self::default();
        if !HAS_OTLP {
            for key in OF_EXPORT.into_iter().filter(|key| section.has(key)) {
                section.problem(Problem {
                    title: format!("`{key}` in [tracing] needs the feature `otlp`"),
                    at: section.at().unwrap_or(0..0),
                    label: "this program was built without the feature".to_owned(),
                    related: None,
                    help: format!(
                        "build it with `cargo build --release --features otlp`, or remove `{key}`"
                    ),
                });
            }
        }
        let endpoint = section.get::<Endpoint>("endpoint");
        let headers = section.spanned::<PathBuf>("headers_file");
        let default = base.export;
        let export = ExportSettings {
            endpoint: endpoint.map(|Endpoint(url)| url),
            headers: headers.map_or_else(Vec::new, |file| read_headers(section, &file, directory)),
            timeout: section.within("timeout", SHORTEST..=LONGEST, default.timeout),
            max_queued: section.within("max_queued", 1..=1_000_000, default.max_queued),
        };
        Self {
            sample_ratio: section.or("sample_ratio", base.sample_ratio),
            export,
        }
    }
}

/// The lines `Name: value` of a file.
fn read_headers(
    section: &Section<'_, '_>,
    file: &Spanned<PathBuf>,
    directory: &Path,
) -> Vec<(HeaderName, HeaderValue)> {
    let path = directory.join(file.get_ref());
    let invalid = |label: String, help: &str| {
        section.invalid("headers_file", file.span(), Wrong::new(label, help));
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let label = format!("{}: {error}", mask::file(&path));
            invalid(label, "it is relative to the directory of this file");
            return Vec::new();
        }
    };
    let mut headers = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let field = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        match field {
            Some(field) => headers.push(field),
            None => invalid(
                format!("{}:{number}: this is no field", mask::file(&path)),
                "each line is a field such as Authorization: Bearer KEY, or a comment",
            ),
        }
    }
    headers
}

/// The URL of a collector.
struct Endpoint(String);

impl Value for Endpoint {
    const EXPECTED: &'static str = "a URL such as \"http://127.0.0.1:4318\"";

    fn show(&self) -> toml::Value {
        string(&self.0)
    }

    fn schema() -> serde_json::Value {
        pattern("https?://.*")
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text::<Self>(value)?;
        let wrong = |help: &str| Wrong::new(format!("expected {}", Self::EXPECTED), help);
        let uri: Uri = text.parse().map_err(|_| wrong(""))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        match uri.scheme_str() {
            Some("http" | "https") if authority.contains('@') => Err(wrong(
                "credentials belong in the file that `headers_file` names",
            )),
            Some("http" | "https") if uri.query().is_some() => Err(wrong(
                "spans go to /v1/traces below it: there is no place for a query",
            )),
            Some("http" | "https") => Ok(Self(text.to_owned())),
            _ => Err(wrong("OTLP goes over HTTP, mostly to port 4318")),
        }
    }
}

impl Value for SampleRatio {
    const EXPECTED: &'static str = "a number from 0 to 1";

    fn show(&self) -> toml::Value {
        toml::Value::Float(self.get())
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "number", "minimum": 0, "maximum": 1 })
    }

    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = match value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            DeValue::String(text) if text.parse::<f64>().is_ok() => {
                let help = "write the number without quotes";
                return Err(Wrong::new(format!("expected {}", Self::EXPECTED), help));
            }
            _ => return Err(wrong_type::<Self>(value)),
        };
        number.and_then(Self::new).ok_or_else(|| {
            let help = "1 samples every trace, 0.01 one in a hundred, 0 none";
            Wrong::new(format!("expected {}", Self::EXPECTED), help)
        })
    }
}

/// Whether this program can export spans.
const HAS_OTLP: bool = cfg!(feature = "otlp");
/// The keys that ask for an export; the others have defaults and ask for nothing.
const OF_EXPORT: [&str; 2] = ["endpoint", "headers_file"];

/// A collector across the world.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
