//! What `decode` takes real messages for: every document of the corpus is recognised, and no text is.

use wapbridge::explain::{Kind, detect};

use crate::support::corpus::{Sample, fixtures, shared};

/// The samples with this ending that are taken for something else.
fn wrong(samples: &[Sample], extension: &str, kind: Option<Kind>) -> (usize, Vec<String>) {
    let samples: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.is(extension))
        .collect();
    let wrong = samples
        .iter()
        .filter(|sample| detect(&sample.octets) != kind);
    let wrong = wrong.map(|sample| format!("{}: {:?}", sample.name(), detect(&sample.octets)));
    (samples.len(), wrong.collect())
}

#[test]
fn documents_of_the_corpus_are_recognised_and_texts_are_not() {
    let mut samples = fixtures();
    for part in ["libwbxml-tests", "syncml-sessions", "san"] {
        samples.extend(shared(part));
    }
    let (documents, mistaken) = wrong(&samples, "wbxml", Some(Kind::Wbxml));
    assert!(documents > 0 && mistaken.is_empty(), "{mistaken:#?}");
    let (texts, mistaken) = wrong(&samples, "xml", None);
    assert!(texts > 0 && mistaken.is_empty(), "{mistaken:#?}");
}
