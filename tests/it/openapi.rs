//! The description of the API that is committed is the one that the code makes.
use std::path::Path;

#[test]
fn the_committed_description_is_the_one_that_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/openapi.json");
    let made = violet::http::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    // Not assert_eq: thousands of lines would be printed twice.
    assert!(
        made == committed,
        "src/http/openapi.json is not up to date: run this test with UPDATE=1"
    );
}

#[test]
fn every_operation_has_a_name_a_summary_and_a_problem() {
    let description = serde_json::to_value(violet::http::openapi()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                names.insert(name.to_owned()),
                "{method} {path}: {name:?} is empty or used twice"
            );
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {path}"
            );
            if path.starts_with("/api/") {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    if status == "default" || status.starts_with(['4', '5']) {
                        let problem = &response["content"]["application/problem+json"];
                        assert_eq!(
                            problem["schema"]["$ref"], "#/components/schemas/Problem",
                            "{method} {path} {status}"
                        );
                    }
                }
                assert!(operation["responses"].get("default").is_some(), "{method} {path}");
            }
            for scheme in operation["security"].as_array().into_iter().flatten() {
                for name in scheme.as_object().unwrap().keys() {
                    let described = &description["components"]["securitySchemes"][name];
                    assert!(described.is_object(), "{method} {path} names {name}");
                }
            }
        }
    }
}
