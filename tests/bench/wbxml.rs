//! WBXML to XML, XML to WBXML and the peek at SyncHdr, on captured messages of 1 kB and 32 kB.
//!
//! `cargo bench --bench wbxml [-- WHAT]`; `tests/bench/libwbxml.py` measures libwbxml on the same files.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use wapbridge::syncml::header::peek;
use wapbridge::wbxml::xml::{WbxmlOptions, XmlOptions, from_xml, to_xml};
use wapbridge::wbxml::{Decoder, Options};

/// Session and file, the same as in `libwbxml.py`.
const MESSAGES: [(&str, &str); 3] = [
    ("1 kB", "s12-wbxml-err-04-unknown-database/03-resp.wbxml"),
    ("7 kB DevInf", "s12-wbxml-md5-02-two-way/01-req.wbxml"),
    ("32 kB", "s12-wbxml-mid-01-slow/02-req.wbxml"),
];

fn main() {
    // Cargo itself passes `--bench`.
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    println!(
        "{:<14}{:<16}{:>10}{:>14}",
        "message", "what", "ns", "MB/s of WBXML"
    );
    for (name, file) in MESSAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/syncml-sessions")
            .join(file);
        let wbxml = std::fs::read(path).expect("a fixture");
        let mut xml = Vec::new();
        to_xml(&wbxml, &XmlOptions::default(), &mut xml).expect("a message");
        let mut out = Vec::new();
        let bench = |what: &str, run: &mut dyn FnMut()| {
            if only.as_ref().is_none_or(|only| what.starts_with(only)) {
                let ns = measure(run);
                println!(
                    "{name:<14}{what:<16}{ns:>10.0}{:>14.0}",
                    wbxml.len() as f64 * 1000.0 / ns
                );
            }
        };
        bench("decode", &mut || {
            let mut decoder =
                Decoder::new(black_box(&wbxml), &Options::default()).expect("a message");
            while let Some(event) = decoder.next().expect("a message") {
                black_box(&event);
            }
        });
        bench("WBXML to XML", &mut || {
            out.clear();
            to_xml(black_box(&wbxml), &XmlOptions::default(), &mut out).expect("a message");
        });
        bench("XML to WBXML", &mut || {
            out.clear();
            from_xml(black_box(&xml), &WbxmlOptions::default(), &mut out).expect("a message");
        });
        bench("peek WBXML", &mut || {
            black_box(peek(black_box(&wbxml)));
        });
        bench("peek XML", &mut || {
            black_box(peek(black_box(&xml)));
        });
    }
}

/// Nanoseconds for one run: the best of many short rounds, as anything else on the machine only adds.
#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this is for"
)]
fn measure(run: &mut dyn FnMut()) -> f64 {
    let round = Duration::from_millis(1);
    (0..300)
        .map(|_| {
            let begin = std::time::Instant::now();
            let mut runs = 0u32;
            while begin.elapsed() < round {
                for _ in 0..16 {
                    run();
                }
                runs += 16;
            }
            begin.elapsed().as_secs_f64() * 1e9 / f64::from(runs)
        })
        .fold(f64::INFINITY, f64::min)
}
