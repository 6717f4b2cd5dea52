//! The invariants of ARCHITECTURE.md that the compiler does not enforce, read off the sources.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Format, Toml},
};
use serde_json::Value;

/// No file is longer than this; there are no exceptions.
const LONGEST_FILE: usize = 500;
/// The folder of each crate.
const CRATES: [&str; 4] = ["", "chain", "chain/dev", "neurons"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file, without its comments.
struct Source {
    /// From the root of the repository.
    path: String,
    whole: String,
    code: String,
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below `folder` with this extension, in order.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} files in {folder}");
    found
}

fn sources(folder: &str) -> Vec<Source> {
    files(folder, "rs")
        .into_iter()
        .map(|path| {
            let whole = read(&path);
            let code = whole
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            Source { path, whole, code }
        })
        .collect()
}

impl Source {
    /// The paths that the file names: what it imports, and what it spells out on the spot.
    fn names(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut rest = self.code.as_str();
        while let Some(at) = rest.find("use ") {
            let starts_a_word = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            rest = &rest[at + 4..];
            if starts_a_word && let Some(end) = rest.find(';') {
                expand("", &rest[..end], &mut all);
            }
        }
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        all.extend(
            self.code
                .split(|c: char| !is_part(c))
                .map(|word| word.trim_matches(':'))
                .filter(|word| word.contains("::"))
                .map(ToOwned::to_owned),
        );
        all
    }

    /// The modules of the root crate that it names: `crate::store::tasks` is of `store`.
    fn modules(&self) -> BTreeSet<String> {
        let own = Path::new(&self.path)
            .strip_prefix("src")
            .ok()
            .and_then(|path| path.components().next())
            .map(|first| {
                first
                    .as_os_str()
                    .to_str()
                    .unwrap()
                    .trim_end_matches(".rs")
                    .to_owned()
            });
        self.names()
            .iter()
            .filter_map(|name| {
                let mut parts = name.split("::");
                (parts.next() == Some("crate")).then(|| parts.next().unwrap_or_default().to_owned())
            })
            .filter(|module| Some(module) != own.as_ref())
            .collect()
    }

    /// Fails when the code contains one of `words`.
    fn refuses(&self, words: &[&str]) {
        for word in words {
            assert!(!self.code.contains(word), "{} says `{word}`", self.path);
        }
    }
}

/// Adds the paths of a use tree: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expand(prefix: &str, tree: &str, all: &mut BTreeSet<String>) {
    let tree = tree.trim();
    if let Some((head, inner)) = tree.split_once('{') {
        let prefix = format!("{prefix}{}", head.trim());
        let inner = inner.trim_end().strip_suffix('}').unwrap_or(inner);
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&prefix, &inner[start..at], all);
                    start = at + 1;
                }
                _ => {}
            }
        }
        expand(&prefix, &inner[start..], all);
    } else if !tree.is_empty() {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        all.insert(format!("{prefix}{path}"));
    }
}

fn assert_modules(folder: &str, allowed: &[&str]) {
    for source in sources(folder) {
        let named = source.modules();
        let strange: Vec<_> = named
            .iter()
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(
            strange.is_empty(),
            "{} names {strange:?} of this crate",
            source.path
        );
    }
}

#[test]
fn use_trees_are_read_whole() {
    let mut all = BTreeSet::new();
    expand(
        "",
        "crate::{\n app::App, domain::{self, task::{Reason, X as Y}},\n}",
        &mut all,
    );
    let expected = [
        "crate::app::App",
        "crate::domain::self",
        "crate::domain::task::Reason",
        "crate::domain::task::X",
    ];
    assert!(all.iter().map(String::as_str).eq(expected), "{all:?}");
}

#[test]
fn domain_is_values_and_rules() {
    assert_modules("src/domain", &[]);
    for source in sources("src/domain") {
        source.refuses(&[
            "async ",
            ".await",
            "tokio",
            "sqlx::query",
            "axum",
            "reqwest",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "Instant",
            "SystemTime",
            "::now()",
            "tracing",
            "metrics::",
        ]);
        // A value may know its encoding; of the chain it may know values, not the client.
        for name in source.names().iter().filter(|name| name.starts_with("violet_")) {
            let value = ["BlockHash", "Coldkey", "CryptoType", "Hotkey"];
            let last = name.rsplit("::").next().unwrap_or_default();
            assert!(
                name.starts_with("violet_chain::") && value.contains(&last),
                "{} names {name}",
                source.path
            );
        }
    }
}

#[test]
fn sql_appears_only_in_store() {
    for source in sources("src") {
        if !source.path.starts_with("src/store/") {
            source.refuses(&[
                "sqlx::query",
                "sqlx::raw_sql",
                "query!",
                "query_as!",
                "query_scalar!",
                "QueryBuilder",
                "AssertSqlSafe",
                "PgListener",
            ]);
        }
    }
}

#[test]
fn store_knows_no_service_and_begins_no_transaction() {
    assert_modules("src/store", &["domain"]);
    for source in sources("src/store") {
        source.refuses(&[".begin(", ".commit(", ".rollback(", "axum"]);
    }
}

#[test]
fn history_is_never_updated_in_place() {
    for source in sources("src/store") {
        let sql = source
            .code
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        for table in [
            "assignment_ends",
            "miner_consensus",
            "miner_responses",
            "neuron_history",
            "record_batches",
            "routing_records",
            "security_events",
            "task_ends",
            "tasks",
            "text_content",
            "bases",
        ] {
            for verb in ["update", "delete from"] {
                assert!(
                    !sql.contains(&format!("{verb} {table} ")),
                    "{} has `{verb} {table}`",
                    source.path
                );
            }
        }
    }
}

#[test]
fn services_speak_no_http() {
    assert_modules(
        "src/services",
        &["app", "blobs", "domain", "error", "https", "services", "store"],
    );
    for source in sources("src/services") {
        source.refuses(&["axum", "reqwest", "StatusCode", "hyper", "tower"]);
    }
}

#[test]
fn faces_do_not_know_each_other() {
    assert_modules(
        "src/http",
        &["app", "domain", "error", "services", "store", "telemetry"],
    );
    assert_modules("src/workers", &["app", "domain", "error", "services"]);
}

#[test]
fn only_services_call_the_store() {
    for folder in ["src/http", "src/workers", "src/cli"] {
        for source in sources(folder) {
            for name in source
                .names()
                .iter()
                .filter(|name| name.starts_with("crate::store"))
            {
                // Types are read by everybody; functions have a small letter.
                let last = name.rsplit("::").next().unwrap_or_default();
                assert!(
                    last.starts_with(char::is_uppercase),
                    "{} names {name}",
                    source.path
                );
            }
        }
    }
}

#[test]
fn the_environment_is_read_where_settings_are() {
    for source in sources("src") {
        // The private cluster looks for PostgreSQL's programs in PATH.
        let may = [
            "src/config.rs",
            "src/postgres/binaries.rs",
            "src/postgres/tests.rs",
        ];
        if !may.contains(&source.path.as_str()) {
            source.refuses(&["env::var"]);
        }
    }
    for folder in ["chain/src", "chain/dev/src", "neurons/src"] {
        for source in sources(folder) {
            source.refuses(&["env::var"]);
        }
    }
}

#[test]
fn subxt_is_known_to_the_chain_s_client_only() {
    for folder in ["src", "tests", "neurons/src", "neurons/tests", "chain/dev/src"] {
        for source in sources(folder) {
            if source.path != "tests/it/architecture.rs" {
                source.refuses(&["subxt"]);
            }
        }
    }
    for source in sources("chain/src") {
        for line in source.code.lines().map(str::trim_start) {
            assert!(
                !(line.starts_with("pub ") && line.contains("subxt")),
                "{} lets a type of subxt out: {line}",
                source.path
            );
        }
    }
}

fn manifest(folder: &str) -> Value {
    let path = root().join(folder).join("Cargo.toml");
    Figment::from(Toml::file_exact(path)).extract().unwrap()
}

fn depends(manifest: &Value, table: &str) -> BTreeSet<String> {
    manifest[table]
        .as_object()
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn crates_depend_in_one_direction() {
    let ours = ["violet", "violet-chain", "violet-devchain", "violet-neurons"];
    let of_ours = |folder: &str, table: &str| -> Vec<String> {
        depends(&manifest(folder), table)
            .into_iter()
            .filter(|name| ours.contains(&name.as_str()))
            .collect()
    };
    assert_eq!(of_ours("neurons", "dependencies"), ["violet-chain"]);
    assert_eq!(of_ours("neurons", "dev-dependencies"), ["violet-devchain"]);
    assert!(of_ours("chain", "dependencies").is_empty());
    assert_eq!(of_ours("chain", "dev-dependencies"), ["violet-devchain"]);
    assert!(of_ours("chain/dev", "dependencies").is_empty());
    for (folder, table, known) in [
        ("", "dependencies", false),
        ("neurons", "dependencies", false),
        ("chain/dev", "dependencies", false),
        ("chain", "dependencies", true),
    ] {
        assert_eq!(
            depends(&manifest(folder), table).contains("subxt"),
            known,
            "{folder}"
        );
    }
    // A production build leaves the dev chain out.
    assert_eq!(manifest("")["dependencies"]["violet-devchain"]["optional"], true);
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let workspace = manifest("");
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"], "forbid");
    let members: BTreeSet<&str> = workspace["workspace"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member.as_str().unwrap().trim_matches('.'))
        .collect();
    assert_eq!(members, CRATES.into());
    for folder in CRATES {
        assert_eq!(manifest(folder)["lints"]["workspace"], true, "{folder}");
    }
}

#[test]
fn no_file_is_long_and_every_module_says_what_it_is_for() {
    for folder in [
        "src",
        "tests",
        "chain/src",
        "chain/dev/src",
        "chain/tests",
        "neurons/src",
        "neurons/tests",
    ] {
        for source in sources(folder) {
            let lines = source.whole.lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines", source.path);
            assert!(
                source.whole.starts_with("//!"),
                "{} does not say what it is for",
                source.path
            );
        }
    }
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let numbers: Vec<usize> = files("migrations", "sql")
        .iter()
        .map(|path| {
            let name = Path::new(path).file_name().unwrap().to_str().unwrap();
            let (number, rest) = name.split_once('_').unwrap();
            assert!(number.len() == 4 && rest.len() > ".sql".len(), "{path}");
            number.parse().unwrap()
        })
        .collect();
    assert!(numbers.into_iter().eq(1..=violet::MIGRATOR.iter().count()));
}

/// The documents; each path that one of them names in backticks exists.
const DOCUMENTS: [&str; 5] = [
    "README.md",
    "ARCHITECTURE.md",
    "config/README.md",
    "metadata/README.md",
    "migrations/README.md",
];

#[test]
fn documents_name_files_that_exist() {
    let top = [
        "src/",
        "chain/",
        "neurons/",
        "config/",
        "metadata/",
        "migrations/",
        "scripts/",
        "tests/",
        ".ci/",
    ];
    let mut checked = 0;
    for document in DOCUMENTS {
        let text = read(document);
        // Between the first and the second backtick of a line, the third and the fourth, and so on.
        for quoted in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let path = quoted.split([' ', ':']).next().unwrap_or_default();
            if top.iter().any(|top| path.starts_with(top)) && !path.contains(['*', '<', '{', '…']) {
                assert!(
                    root().join(path).exists(),
                    "{document} names {path}, which does not exist"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} paths were found");
}
