//! The wallets of the ecosystem: `<path>/<name>/hotkeys/<hotkey>` and `coldkeypub.txt`, as the Python tools write them.
//!
//! A hotkey is believed only when it derives to the address in its own file. Coldkeys are read as public keys alone:
//! a server has no use for a coldkey's secret. Encrypted hotkeys are refused with a word that says so.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::keys::{self, KeyError, Keypair};
use crate::types::{Coldkey, CryptoType, Hotkey, ParseError};

/// A hotkey of a wallet, by name. Nothing is read before it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// The folder of all wallets.
    pub path: PathBuf,
    /// The wallet's name: a folder in it.
    pub name: String,
    /// The hotkey's name: a file in `hotkeys`.
    pub hotkey: String,
}

/// Why a wallet cannot be used. The file is named; its content never is.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// No path was given and the user has no home folder.
    #[error("no home folder: say where the wallets are")]
    NoHome,
    /// A name that would lead elsewhere.
    #[error("{0:?} is not a name of a wallet or hotkey")]
    Name(String),
    /// There is no such hotkey.
    #[error(
        "there is no hotkey {}; say which with --wallet.path, --wallet.name and --wallet.hotkey, or make one with \
         `violet wallet create`",
        file.display()
    )]
    Missing {
        /// The file that it would be in.
        file: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file exists already; it is never written over.
    #[error("{} exists already and is left as it is", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// The hotkey is encrypted.
    #[error("{} is encrypted; a service needs a hotkey without a password", file.display())]
    Encrypted {
        /// The file.
        file: PathBuf,
    },
    /// The file is of some other form.
    #[error("{} is not a hotkey file: {what}", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The address in the file cannot be read.
    #[error("{}", file.display())]
    Address {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// The secret in the file cannot be read.
    #[error("{}", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// No secret in the file derives to the address in it.
    #[error("{} says {expected}, but its secret is another account's", file.display())]
    Mismatch {
        /// The file.
        file: PathBuf,
        /// The address in it.
        expected: Hotkey,
    },
}

impl Wallet {
    /// The folder that the ecosystem's tools use: `~/.bittensor/wallets`.
    pub fn default_path() -> Result<PathBuf, WalletError> {
        Ok(std::env::home_dir()
            .ok_or(WalletError::NoHome)?
            .join(".bittensor")
            .join("wallets"))
    }

    /// A wallet by its names; `None` is the default path, and a leading `~/` is the home folder.
    pub fn new(path: Option<&Path>, name: &str, hotkey: &str) -> Result<Self, WalletError> {
        let path = match path {
            None => Self::default_path()?,
            Some(path) => match path.strip_prefix("~") {
                Ok(rest) => std::env::home_dir().ok_or(WalletError::NoHome)?.join(rest),
                Err(_) => path.to_owned(),
            },
        };
        for name in [name, hotkey] {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
                return Err(WalletError::Name(name.to_owned()));
            }
        }
        Ok(Self {
            path,
            name: name.to_owned(),
            hotkey: hotkey.to_owned(),
        })
    }

    fn folder(&self) -> PathBuf {
        self.path.join(&self.name)
    }

    /// The file with the hotkey's secret.
    pub fn hotkey_file(&self) -> PathBuf {
        self.folder().join("hotkeys").join(&self.hotkey)
    }

    /// The file with the coldkey's public half.
    pub fn coldkeypub_file(&self) -> PathBuf {
        self.folder().join("coldkeypub.txt")
    }

    /// Reads the hotkey. The files that the tools ever wrote are understood: JSON in its several spellings, a bare
    /// mnemonic, a bare seed in hex.
    pub fn keypair(&self) -> Result<Keypair, WalletError> {
        let file = self.hotkey_file();
        let content = read(&file).map_err(|error| match error {
            WalletError::Io { file, source } if source.kind() == io::ErrorKind::NotFound => {
                WalletError::Missing { file }
            }
            error => error,
        })?;
        parse(&file, &content)
    }

    /// Reads the coldkey's address.
    pub fn coldkey(&self) -> Result<Coldkey, WalletError> {
        let file = self.coldkeypub_file();
        let content = read(&file)?;
        let content = content.trim();
        let address = match serde_json::from_str::<Map<String, Value>>(content) {
            Ok(fields) => {
                field(&fields, "ss58Address")
                    .map(str::to_owned)
                    .ok_or_else(|| WalletError::Form {
                        file: file.clone(),
                        what: "ss58Address is missing",
                    })?
            }
            // The oldest files hold the address alone.
            Err(_) => content.to_owned(),
        };
        address
            .parse()
            .map_err(|source| WalletError::Address { file, source })
    }

    /// Makes a new sr25519 hotkey and writes it. The mnemonic is in the file, and it is returned to be shown once.
    pub fn create(&self) -> Result<(Keypair, String), WalletError> {
        let (keypair, mnemonic) = Keypair::generate();
        self.save(&keypair, Some(&mnemonic))?;
        Ok((keypair, mnemonic))
    }

    /// Writes a hotkey, with its mnemonic where there is one, and its public file beside it. Files are mode 0600 and
    /// never written over.
    pub fn save(&self, keypair: &Keypair, mnemonic: Option<&str>) -> Result<(), WalletError> {
        let folder = self.folder().join("hotkeys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| WalletError::Io {
                file: folder.clone(),
                source,
            })?;

        let public = public_fields(keypair);
        let mut secret = public.clone();
        secret.insert("privateKey".into(), prefixed(&keypair.secret_bytes()).into());
        if let Some(mnemonic) = mnemonic {
            secret.insert("secretPhrase".into(), mnemonic.into());
            if let Some(seed) = keys::seed_of(mnemonic) {
                secret.insert("secretSeed".into(), prefixed(&seed).into());
            }
        }
        write(&self.hotkey_file(), &Value::Object(secret).to_string(), false)?;
        let public = Value::Object(public).to_string();
        write(&folder.join(format!("{}pub.txt", self.hotkey)), &public, true)
    }
}

fn public_fields(keypair: &Keypair) -> Map<String, Value> {
    let hotkey = keypair.hotkey();
    let mut fields = Map::new();
    fields.insert("accountId".into(), prefixed(&hotkey.0).into());
    fields.insert("publicKey".into(), prefixed(&hotkey.0).into());
    fields.insert("ss58Address".into(), hotkey.to_string().into());
    fields.insert("cryptoType".into(), crypto_number(keypair.crypto()).into());
    fields
}

fn crypto_number(crypto: CryptoType) -> u8 {
    match crypto {
        CryptoType::Ed25519 => 0,
        CryptoType::Sr25519 => 1,
    }
}

fn prefixed(bytes: &[u8]) -> String {
    let mut text = String::from("0x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// The content as text. Encrypted files are binary behind a start that is text; what is not text matters to nobody.
fn read(file: &Path) -> Result<String, WalletError> {
    let content = fs::read(file).map_err(|source| WalletError::Io {
        file: file.to_owned(),
        source,
    })?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Writes a file of mode 0600; one that exists is replaced only when it is public.
fn write(file: &Path, content: &str, public: bool) -> Result<(), WalletError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => WalletError::Exists {
            file: file.to_owned(),
        },
        _ => WalletError::Io {
            file: file.to_owned(),
            source,
        },
    };
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if public {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut open = options.open(file).map_err(failed)?;
    open.write_all(content.as_bytes())
        .and_then(|()| open.sync_all())
        .map_err(failed)
}

/// A text field by name; old files spell some names with a leading space.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    any_field(fields, name)?.as_str().filter(|text| !text.is_empty())
}

fn any_field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields
        .iter()
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

fn parse(file: &Path, content: &str) -> Result<Keypair, WalletError> {
    let form = |what| WalletError::Form {
        file: file.to_owned(),
        what,
    };
    let content = content.trim();
    // libsodium's secretbox, Ansible's vault, and the Fernet of the oldest wallets.
    if ["$NACL", "$ANSIBLE_VAULT", "gAAAAA"]
        .iter()
        .any(|start| content.starts_with(start))
    {
        return Err(WalletError::Encrypted {
            file: file.to_owned(),
        });
    }
    if !content.starts_with('{') {
        return bare(file, content);
    }
    let fields: Map<String, Value> =
        serde_json::from_str(content).map_err(|_| form("it starts like JSON and is not"))?;
    if any_field(&fields, "encoded").is_some() {
        return Err(form(
            "it is an export of polkadot.js; import its mnemonic instead",
        ));
    }

    let expected = expected(file, &fields)?;
    let declared = match any_field(&fields, "cryptoType") {
        None | Some(Value::Null) => CryptoType::Sr25519,
        Some(Value::Number(number)) if number.as_u64() == Some(1) => CryptoType::Sr25519,
        Some(Value::Number(number)) if number.as_u64() == Some(0) => CryptoType::Ed25519,
        Some(Value::String(text)) if text == "1" => CryptoType::Sr25519,
        Some(Value::String(text)) if text == "0" => CryptoType::Ed25519,
        Some(Value::String(text)) => text
            .parse()
            .map_err(|_| form("cryptoType is neither sr25519 nor ed25519"))?,
        Some(_) => return Err(form("cryptoType is neither sr25519 nor ed25519")),
    };
    let other = match declared {
        CryptoType::Sr25519 => CryptoType::Ed25519,
        CryptoType::Ed25519 => CryptoType::Sr25519,
    };

    let mut found = false;
    for crypto in [declared, other] {
        for keypair in secrets(&fields, crypto) {
            found = true;
            if keypair.hotkey() == expected {
                return Ok(keypair);
            }
        }
    }
    if found {
        Err(WalletError::Mismatch {
            file: file.to_owned(),
            expected,
        })
    } else {
        Err(form(
            "it holds no secret: neither privateKey nor secretSeed nor secretPhrase can be read",
        ))
    }
}

/// The address that the secret must derive to.
fn expected(file: &Path, fields: &Map<String, Value>) -> Result<Hotkey, WalletError> {
    if let Some(address) = field(fields, "ss58Address") {
        return address.parse().map_err(|source| WalletError::Address {
            file: file.to_owned(),
            source,
        });
    }
    ["publicKey", "accountId"]
        .iter()
        .filter_map(|name| unhex(field(fields, name)?)?.try_into().ok())
        .map(Hotkey)
        .next()
        .ok_or(WalletError::Form {
            file: file.to_owned(),
            what: "ss58Address is missing",
        })
}

/// Every key that the file's secrets can mean under this crypto type. Which one is meant, the address decides: the
/// bytes of `privateKey` have been written in two forms, and the wrong reading is silently another account.
fn secrets(fields: &Map<String, Value>, crypto: CryptoType) -> Vec<Keypair> {
    let private = field(fields, "privateKey").and_then(unhex);
    let plain = private
        .as_deref()
        .and_then(|bytes| Keypair::from_secret_bytes(bytes, crypto).ok());
    let scaled = private.as_deref().filter(|_| crypto == CryptoType::Sr25519);
    let scaled = scaled.and_then(|bytes| Keypair::from_scaled_secret_bytes(bytes).ok());
    let seed = field(fields, "secretSeed")
        .and_then(unhex)
        .filter(|seed| seed.len() == 32);
    let seed = seed.and_then(|seed| Keypair::from_uri(&prefixed(&seed), crypto).ok());
    let phrase =
        field(fields, "secretPhrase").and_then(|phrase| Keypair::from_uri(phrase.trim(), crypto).ok());
    [plain, seed, phrase, scaled].into_iter().flatten().collect()
}

/// A file that is nothing but a mnemonic or hex: 32 bytes of seed or 64 of a private key. Always sr25519.
fn bare(file: &Path, content: &str) -> Result<Keypair, WalletError> {
    let key = |source| WalletError::Key {
        file: file.to_owned(),
        source,
    };
    match unhex(content) {
        Some(bytes) if bytes.len() == 32 => {
            Keypair::from_uri(&prefixed(&bytes), CryptoType::Sr25519).map_err(key)
        }
        Some(bytes) if bytes.len() == 64 => {
            Keypair::from_secret_bytes(&bytes, CryptoType::Sr25519).map_err(key)
        }
        // Words only: a secret URI such as `//Alice` in a file would be a key that everybody knows.
        _ if content.split_whitespace().count() >= 12 => {
            let words: Vec<&str> = content.split_whitespace().collect();
            Keypair::from_uri(&words.join(" "), CryptoType::Sr25519).map_err(key)
        }
        _ => Err(WalletError::Form {
            file: file.to_owned(),
            what: "neither JSON, nor a mnemonic, nor 32 or 64 bytes of hex",
        }),
    }
}
