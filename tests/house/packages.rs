//! The packages that the design prescribes are normal dependencies, and the program uses them.

use std::path::{Path, PathBuf};

const PRESCRIBED: [&str; 7] = [
    "tokio",
    "bytes",
    "nom",
    "hyper-rustls",
    "rustls",
    "tracing",
    "metrics",
];

fn sources(directory: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

#[test]
fn the_prescribed_packages_are_dependencies_of_the_program_and_used_in_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let code: Vec<String> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    for package in PRESCRIBED {
        let dependency = dependencies.get(package);
        let dependency = dependency.unwrap_or_else(|| panic!("{package} is no dependency"));
        let optional = dependency.get("optional").and_then(toml::Value::as_bool);
        assert_ne!(optional, Some(true), "{package} is optional");
        let path = format!("use {}::", package.replace('-', "_"));
        assert!(
            code.iter().any(|line| line.trim_start().starts_with(&path)),
            "{package} is not used in src"
        );
    }
}
