//! `/operations?section=NAME`: one section of the operator's manual, for the links of the page.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    section: String,
}

pub(super) async fn show(Query(Wanted { section }): Query<Wanted>) -> Response {
    match find(&section) {
        Some(text) => {
            let fields = [(CONTENT_TYPE, TEXT), (CONTENT_SECURITY_POLICY, NOTHING)];
            (fields, text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "the manual has no such section\n").into_response(),
    }
}

/// The section whose heading has this name: in lower case, with `-` for each space.
fn find(name: &str) -> Option<&'static str> {
    let (_, sections) = MANUAL.split_once(HEADING)?;
    sections.split(HEADING).find(|section| {
        let heading = section.lines().next().unwrap_or_default();
        heading.to_lowercase().replace(' ', "-") == name
    })
}

const HEADING: &str = "\n## ";
const MANUAL: &str = include_str!("../../../deploy/OPERATIONS.md");
const TEXT: &str = "text/plain; charset=utf-8";
const NOTHING: &str = "default-src 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_found_by_its_name_and_ends_before_the_next() {
        let section = find("what-the-handset-sees").unwrap();
        assert!(section.starts_with("What the handset sees\n"), "{section}");
        assert!(section.contains("| `no_route` |"), "{section}");
        assert!(!section.contains("\n## "), "{section}");
        assert_eq!(find("nowhere"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn the_page_links_only_to_sections_that_there_are() {
        let page = include_str!("page.js");
        let listed = page.split_once("const SECTIONS = {").unwrap().1;
        let listed = listed.split_once('}').unwrap().0;
        let names: Vec<&str> = listed.split('"').skip(1).step_by(2).collect();
        assert!(names.len() >= 2, "{names:?}");
        for name in names {
            assert!(find(name).is_some(), "{name}");
        }
        assert!(page.contains("\"what-the-handset-sees\""));
    }

    /// Text of handsets and origins is shown by text nodes alone.
    #[test]
    fn the_page_makes_no_markup_of_text() {
        let page = concat!(include_str!("page.js"), include_str!("past.js"));
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "eval(",
            "Function(",
        ] {
            assert!(!page.contains(way), "{way}");
        }
    }
}
