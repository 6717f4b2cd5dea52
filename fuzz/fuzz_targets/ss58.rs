//! Texts as addresses: what is read has one spelling.
#![no_main]
use violet_chain::{Coldkey, Hotkey};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let hotkey = text.parse::<Hotkey>();
    if let Ok(hotkey) = hotkey {
        assert_eq!(hotkey.to_string(), text);
    }
    let coldkey = text.parse::<Coldkey>();
    assert_eq!(hotkey.map(|key| key.0), coldkey.map(|key| key.0));
});
