//! The requirements of RFC 9112 on a proxy, each with the test that holds it.

use std::collections::BTreeMap;

use crate::documents::path;

#[test]
fn each_requirement_of_rfc_9112_is_held_by_a_test_that_exists() {
    let table = std::fs::read_to_string(path("fixtures/http/rfc9112.tsv")).unwrap();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut sections = Vec::new();
    for row in table.lines().skip(1) {
        let [section, requirement, test] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row:?} has other than three columns");
        };
        let (file, name) = test.split_once(' ').expect("a file and a test");
        let source = sources
            .entry(file)
            .or_insert_with(|| std::fs::read_to_string(path(file)).expect(file));
        let has = source.contains(&format!("fn {name}("));
        assert!(has, "{section} {requirement}: {file} has no test {name}");
        sections.push(section.split('.').next().unwrap().to_owned());
    }
    // The sections on messages, requests, bodies and connections.
    for wanted in ["2", "3", "6", "9"] {
        assert!(sections.iter().any(|section| section == wanted), "{wanted}");
    }
}
