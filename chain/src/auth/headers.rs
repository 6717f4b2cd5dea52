//! What headers hold, each in its one spelling.

use super::AuthError;
use crate::types::{Hotkey, hex_digits};

/// A header that was asked for, with its name.
#[derive(Clone, Copy)]
pub(super) struct Header<'a> {
    name: &'static str,
    value: Option<&'a [u8]>,
}

/// Picks the headers of these names, in their order. What is given twice is refused, even when it is the same.
pub(super) fn pick<'a, const N: usize>(
    headers: &[(&str, &'a [u8])],
    names: [&'static str; N],
) -> Result<[Header<'a>; N], AuthError> {
    let mut picked = names.map(|name| Header { name, value: None });
    for (name, value) in headers {
        let wanted = picked.iter_mut().find(|one| one.name.eq_ignore_ascii_case(name));
        if let Some(one) = wanted
            && one.value.replace(value).is_some()
        {
            return Err(one.malformed("is given twice"));
        }
    }
    Ok(picked)
}

impl<'a> Header<'a> {
    pub(super) fn malformed(&self, what: &'static str) -> AuthError {
        AuthError::Malformed {
            header: self.name,
            what,
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.value.is_some()
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], AuthError> {
        self.value.ok_or_else(|| self.malformed("is missing"))
    }

    fn text(&self, what: &'static str) -> Result<&'a str, AuthError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.malformed(what))
    }

    pub(super) fn hotkey(&self) -> Result<Hotkey, AuthError> {
        let what = "is not an SS58 address with prefix 42";
        self.text(what)?.parse().map_err(|_| self.malformed(what))
    }

    /// A number without sign, space or leading zero, so that it has one spelling.
    pub(super) fn number(&self) -> Result<u64, AuthError> {
        let what = "is not a number in plain digits";
        plain_number(self.text(what)?).ok_or_else(|| self.malformed(what))
    }

    /// A time in some unit, as nanoseconds.
    pub(super) fn time(&self, unit_ns: u64) -> Result<(u64, u64), AuthError> {
        let number = self.number()?;
        let ns = number.checked_mul(unit_ns);
        Ok((
            number,
            ns.ok_or_else(|| self.malformed("is not a time of this millennium"))?,
        ))
    }

    /// A UUID in lower case with its dashes.
    pub(super) fn uuid(&self) -> Result<&'a str, AuthError> {
        let what = "is not a UUID in lower case";
        let text = self.text(what)?;
        let well = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => is_lower_hex(byte),
            });
        if well { Ok(text) } else { Err(self.malformed(what)) }
    }

    /// 64 lower-case hex digits.
    pub(super) fn digest(&self) -> Result<&'a str, AuthError> {
        let what = "is not 64 lower-case hex digits";
        let text = self.text(what)?;
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            Ok(text)
        } else {
            Err(self.malformed(what))
        }
    }

    /// `{ns}_{10 letters or digits}`.
    pub(super) fn stamped(&self) -> Result<(u64, &'a str), AuthError> {
        let what = "is not nanoseconds, an underscore, and ten letters or digits";
        let text = self.text(what)?;
        let parts = text
            .split_once('_')
            .filter(|(_, rest)| rest.len() == 10 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        parts
            .and_then(|(ns, _)| plain_number(ns))
            .map(|ns| (ns, text))
            .ok_or_else(|| self.malformed(what))
    }

    /// 64 bytes as `0x` and lower-case hex digits.
    pub(super) fn signature(&self) -> Result<[u8; 64], AuthError> {
        let what = "is not 0x and 128 lower-case hex digits";
        let text = self.not_empty(what)?;
        let digits = text.strip_prefix("0x");
        digits.and_then(hex_digits).ok_or_else(|| self.malformed(what))
    }

    /// The same without `0x`.
    pub(super) fn bare_signature(&self) -> Result<[u8; 64], AuthError> {
        let what = "is not 128 lower-case hex digits";
        hex_digits(self.not_empty(what)?).ok_or_else(|| self.malformed(what))
    }

    /// An empty signature was once taken for any hotkey by a verifier of this ecosystem: never let it through.
    fn not_empty(&self, what: &'static str) -> Result<&'a str, AuthError> {
        match self.text(what)? {
            "" | "0x" => Err(self.malformed("is empty")),
            text => Ok(text),
        }
    }
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn plain_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
