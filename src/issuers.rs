//! The settings of issuers of OIDC tokens, with what makes them valid; `src/config.rs` reads them with the others.
use serde::Deserialize;

use crate::{domain::oidc::Issuer, https};

/// Longest that an issuer's name may be on the wire, in bytes.
const LONGEST_ISSUER: usize = 500;

/// The issuers whose tokens are taken; each a table `[[identity.oidc]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<Issuer>")]
pub struct Issuers(pub Vec<Issuer>);

impl TryFrom<Vec<Issuer>> for Issuers {
    type Error = String;

    fn try_from(issuers: Vec<Issuer>) -> Result<Self, String> {
        for (number, issuer) in issuers.iter().enumerate() {
            if let Some(problem) = problem(issuer, &issuers[..number]) {
                let name = &issuer.name;
                return Err(format!(
                    "[[identity.oidc]] number {} ({name}): {problem}",
                    number + 1
                ));
            }
        }
        Ok(Self(issuers))
    }
}

/// What is wrong with an issuer, after these.
fn problem(issuer: &Issuer, before: &[Issuer]) -> Option<String> {
    if let Some(problem) = issuer.problem() {
        return Some(problem);
    }
    if before.iter().any(|other| other.name == issuer.name) {
        return Some("name is another's already".into());
    }
    if before.iter().any(|other| other.issuer == issuer.issuer) {
        return Some("issuer is another's already".into());
    }
    if issuer.issuer.len() > LONGEST_ISSUER || issuer.issuer.contains('?') {
        return Some(format!(
            "issuer must have {LONGEST_ISSUER} bytes at most, and no query"
        ));
    }
    if let Err(problem) = https::check(&issuer.issuer, issuer.allow_http) {
        return Some(format!("issuer {problem}"));
    }
    let keys = issuer.jwks_url.as_ref()?;
    let problem = https::check(keys, issuer.allow_http).err()?;
    Some(format!("jwks_url {problem}"))
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format as _, Toml},
    };

    use crate::{
        config::{Config, DEFAULTS},
        domain::oidc::Issuer,
    };

    fn with(text: &str) -> Result<Vec<Issuer>, String> {
        let figment = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(text));
        Config::from_figment(&figment)
            .map(|config| config.identity.oidc.0)
            .map_err(|error| format!("{error:?}"))
    }

    const ONE: &str =
        "[[identity.oidc]]\nname = 'one'\nissuer = 'https://one.example.org'\naudience = 'violet'\n";

    #[test]
    fn an_issuer_needs_three_settings_and_has_defaults_for_the_others() {
        assert!(with("").unwrap().is_empty());
        let issuers = with(ONE).unwrap();
        assert_eq!(
            (issuers.len(), &issuers[0].audience),
            (1, &vec!["violet".to_owned()])
        );
        let Issuer {
            algorithms,
            clock_skew_seconds,
            create_accounts,
            require_verified_email,
            ..
        } = &issuers[0];
        assert_eq!(format!("{algorithms:?}"), "[RS256, ES256]");
        assert_eq!(
            (clock_skew_seconds, create_accounts, require_verified_email),
            (&60, &false, &true)
        );
        let two = ONE.replace("one", "two").replace("'violet'", "['a', 'b']");
        assert_eq!(with(&format!("{ONE}{two}")).unwrap()[1].audience, ["a", "b"]);
        with(&format!("{ONE}clock_skew_seconds = 300")).unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        let without = |name: &str| {
            let lines: Vec<&str> = ONE.lines().filter(|line| !line.starts_with(name)).collect();
            lines.join("\n")
        };
        let plus = |line: &str| format!("{ONE}{line}");
        for (text, expected) in [
            (without("name"), "number 1 (): name must be"),
            (without("issuer"), "number 1 (one): issuer is required"),
            (without("audience"), "(one): audience is required"),
            (ONE.replace("'violet'", "[]"), "audience is required"),
            (ONE.replace("'one'", "'One'"), "name must be"),
            (ONE.replace("https://", "http://"), "issuer must be https://"),
            (ONE.replace("https://", ""), "issuer must "),
            (ONE.replace(".org", ".org/?a=b"), "no query"),
            (
                plus("jwks_url = 'http://example.org/keys'"),
                "jwks_url must be https://",
            ),
            (plus("algorithms = []"), "algorithms is empty"),
            (plus("algorithms = ['RS256', 'HS256']"), "algorithms has HS256"),
            (plus("algorithms = ['none']"), "none"),
            (
                plus("clock_skew_seconds = 301"),
                "clock_skew_seconds is 301, not from 0 to 300",
            ),
            (plus("refetch_seconds = 0"), "refetch_seconds is 0"),
            (plus("timeout_seconds = 31"), "timeout_seconds is 31"),
            (plus("stale_seconds = 604801"), "stale_seconds is 604801"),
            (plus("audiences = ['a']"), "audiences"),
            (format!("{ONE}{ONE}"), "number 2 (one): name is another's"),
            (
                format!("{ONE}{}", ONE.replace("'one'", "'two'")),
                "number 2 (two): issuer is another's",
            ),
        ] {
            let error = with(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        with(&plus("allow_http = true").replace("https://", "http://")).unwrap();
        with(&ONE.replace("https://one.example.org", "http://127.0.0.1:8080")).unwrap();
    }
}
