//! What headers hold has one spelling, and an empty signature is none.

use violet_chain::auth::{AuthError, Scheme};

use super::{BODY, NOW, OTHERS, Signed, UUID, bob, key};

/// Alice under prefix 0.
const ALIAS: &str = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";

#[test]
fn signatures_have_one_spelling_and_an_empty_one_is_never_let_through() {
    for scheme in OTHERS {
        let signed = Signed::new(scheme, BODY);
        let [_, _, _, name] = signed.names();
        let good = signed.get(name).trim_start_matches("0x").to_owned();
        for empty in ["", "0x"] {
            signed.with(name, empty).assert_malformed(name, "is empty");
        }
        signed.without(name).assert_malformed(name, "is missing");
        let (right, wrong) = match scheme {
            Scheme::Chutes => (good.clone(), format!("0x{good}")),
            _ => (format!("0x{good}"), good.clone()),
        };
        for bad in [
            wrong,
            right.to_uppercase(),
            right.replace(&good, &good.to_uppercase()),
            right[..right.len() - 2].to_owned(),
            format!("{right}00"),
            right.replace(&good, &"zz".repeat(64)),
            format!(" {right}"),
        ] {
            signed.with(name, &bad).assert_malformed(name, "lower-case hex");
        }
        let zero = right.replace(&good, &"0".repeat(128));
        assert_eq!(
            signed.with(name, &zero).check(BODY),
            Err(AuthError::BadSignature(name))
        );
        // Without schnorrkel's marker bit.
        let last = u8::from_str_radix(&good[126..], 16).unwrap() & 0x7f;
        let unmarked = right.replace(&good, &format!("{}{last:02x}", &good[..126]));
        assert_eq!(
            signed.with(name, &unmarked).check(BODY),
            Err(AuthError::BadSignature(name))
        );
        // Somebody else's.
        let mallory = key("//Mallory").hotkey().to_string();
        let stolen = signed.with(signed.names()[0], &mallory);
        assert_eq!(stolen.check(BODY), Err(AuthError::BadSignature(name)));
    }
}

#[test]
fn addresses_times_and_names_have_one_spelling() {
    for scheme in OTHERS {
        let signed = Signed::new(scheme, BODY);
        let [sender, receiver, time, _] = signed.names();
        let addressed = [sender, receiver];
        let addressed = &addressed[..if scheme == Scheme::Chutes { 1 } else { 2 }];
        for name in addressed {
            for alias in [ALIAS, "", "-", &hex::encode(bob().0)] {
                signed.with(name, alias).assert_malformed(name, "prefix 42");
            }
        }
        let good = signed.get(time).to_owned();
        for bad in [
            String::new(),
            format!("+{good}"),
            format!(" {good}"),
            format!("0{good}"),
            format!("-{good}"),
            good.replacen('7', "7_", 1),
            format!("{good}.0"),
            format!("999{good}"),
        ] {
            signed.with(time, &bad).assert_malformed(time, "is not");
        }
        for (name, value) in &signed.1 {
            signed.and(name, value).assert_malformed(name, "is given twice");
            if *name != "Epistula-Signed-For" {
                signed.without(name).assert_malformed(name, "is missing");
            }
        }
    }
    let epistula = Signed::new(Scheme::Epistula2, BODY);
    for version in ["", "1", "02", "2.0"] {
        epistula
            .with("Epistula-Version", version)
            .assert_malformed("Epistula-Version", "is not 2");
    }
    for (scheme, name) in [
        (Scheme::Epistula2, "Epistula-Uuid"),
        (Scheme::Synapse, "bt_header_dendrite_uuid"),
    ] {
        for bad in [
            "",
            "1",
            &UUID.to_uppercase(),
            &UUID.replace('-', "0"),
            &format!("{UUID}0"),
        ] {
            Signed::new(scheme, BODY)
                .with(name, bad)
                .assert_malformed(name, "UUID");
        }
    }
    let nonces = ["aZ3kQ9pL0", "aZ3kQ9pL0xx", "aZ3kQ9pL0_", "aZ3kQ9pL0é", ""];
    for rest in nonces {
        Signed::new(Scheme::Fiber, BODY)
            .with("nonce", &format!("{NOW}_{rest}"))
            .assert_malformed("nonce", "ten letters");
    }
}
