//! Bytes as crypto type, public key, signature and message.
#![no_main]
use violet_chain::{CryptoType, Hotkey, VerifyingKey, verify};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((crypto, data)) = data.split_first() else {
        return;
    };
    let (Some((key, data)), crypto) = (
        data.split_first_chunk::<32>(),
        [CryptoType::Sr25519, CryptoType::Ed25519][usize::from(crypto & 1)],
    ) else {
        return;
    };
    let Some((signature, message)) = data.split_first_chunk::<64>() else {
        return;
    };
    let hotkey = Hotkey(*key);
    let good = verify(crypto, &hotkey, message, signature);
    let decoded = VerifyingKey::new(crypto, &hotkey);
    assert_eq!(good, decoded.is_some_and(|key| key.verify(message, signature)));
    if good {
        // No second signature of one message comes from flipping bits of the first, and none fits a longer message.
        for bit in 0..512 {
            let mut other = *signature;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(crypto, &hotkey, message, &other), "bit {bit}");
        }
        assert!(!verify(crypto, &hotkey, &[message, b" "].concat(), signature));
    }
});
