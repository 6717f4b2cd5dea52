//! One runtime's own description of itself, and reading and writing values by it: by name, in whatever shape it
//! declares. A name that it lacks is an error that says so.

use std::sync::OnceLock;

use subxt::Metadata;
use subxt::ext::frame_decode::helpers::IntoEncodableValues;
use subxt::ext::frame_decode::runtime_apis::{RuntimeApiTypeInfo as _, encode_runtime_api_inputs};
use subxt::ext::frame_decode::storage::{StorageTypeInfo as _, encode_storage_key};
use subxt::ext::scale_decode::DecodeAsType;
use subxt::ext::scale_decode::error::ErrorKind;

use crate::error::{Error, Source};
use crate::surface::{Kind, Report, Surface, Way, expect_listed};

/// The magic at the start of metadata.
const MAGIC: &[u8] = b"meta";

pub(crate) struct Runtime {
    pub(crate) spec_version: u32,
    pub(crate) metadata: Metadata,
    surface: OnceLock<Report>,
}

impl Runtime {
    /// From metadata as `Metadata_metadata_at_version` gives it, with or without the wrapping of that call.
    pub(crate) fn new(spec_version: u32, scale: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            spec_version,
            metadata: decode_metadata(scale)?,
            surface: OnceLock::new(),
        })
    }

    /// From metadata alone: the version is the constant `System.Version` in it.
    pub(crate) fn from_metadata(scale: &[u8]) -> Result<Self, Error> {
        #[derive(DecodeAsType)]
        #[decode_as_type(crate_path = "subxt::ext::scale_decode")]
        struct Version {
            spec_version: u32,
        }
        let metadata = decode_metadata(scale)?;
        let pallet = metadata.pallet_by_name("System");
        let constant = pallet.and_then(|pallet| pallet.constant_by_name("Version"));
        let constant = constant.ok_or_else(|| Error::Metadata("System.Version is missing".into()))?;
        let Version { spec_version } =
            Version::decode_as_type(&mut constant.value(), constant.ty(), metadata.types())
                .map_err(|error| Error::Metadata(error.into()))?;
        Ok(Self {
            spec_version,
            metadata,
            surface: OnceLock::new(),
        })
    }

    /// How the list of what is read stands in this runtime; looked up once.
    pub(crate) fn surface(&self) -> &Report {
        self.surface.get_or_init(|| {
            let report = Surface::bundled().check_runtime(self);
            match report.ways().first() {
                Some(Way::Selective) => {}
                Some(way) => {
                    tracing::warn!(spec_version = self.spec_version, %way, "the metagraph is read in another way");
                }
                None => tracing::warn!(spec_version = self.spec_version, "the metagraph cannot be read"),
            }
            report
        })
    }

    /// Whether the runtime has this storage entry.
    pub(crate) fn has_storage(&self, pallet: &str, entry: &str) -> bool {
        expect_listed(Kind::Storage, || format!("{pallet}.{entry}"));
        self.metadata.storage_info(pallet, entry).is_ok()
    }

    /// Whether the runtime has this method.
    pub(crate) fn has_api(&self, api: &str, method: &str) -> bool {
        expect_listed(Kind::Api, || format!("{api}.{method}"));
        self.metadata.runtime_api_info(api, method).is_ok()
    }

    /// A constant of a pallet; `None` where the runtime has none of this name and type.
    pub(crate) fn constant<T: DecodeAsType>(&self, pallet: &str, name: &str) -> Option<T> {
        expect_listed(Kind::Constant, || format!("{pallet}.{name}"));
        let pallet = self.metadata.pallet_by_name(pallet)?;
        let constant = pallet.constant_by_name(name)?;
        T::decode_as_type(&mut constant.value(), constant.ty(), self.metadata.types()).ok()
    }

    pub(crate) fn missing(&self, item: String) -> Error {
        Error::Missing {
            item,
            spec_version: self.spec_version,
        }
    }

    pub(crate) fn decode_error(&self, item: String, source: impl Into<Source>) -> Error {
        Error::Decode {
            item,
            spec_version: self.spec_version,
            source: source.into(),
        }
    }

    /// The storage key of an entry below these keys; `()` for a plain value.
    pub(crate) fn storage_key(
        &self,
        pallet: &str,
        entry: &str,
        keys: impl IntoEncodableValues,
    ) -> Result<Vec<u8>, Error> {
        let item = || format!("{pallet}.{entry}");
        expect_listed(Kind::Storage, item);
        if self.metadata.storage_info(pallet, entry).is_err() {
            return Err(self.missing(item()));
        }
        encode_storage_key(pallet, entry, keys, &self.metadata, self.metadata.types())
            .map_err(|error| self.decode_error(item(), error))
    }

    /// A stored value, or the default that the runtime declares where nothing is stored.
    pub(crate) fn storage_value<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        stored: Option<&[u8]>,
    ) -> Result<T, Error> {
        let item = || format!("{pallet}.{entry}");
        let info = self
            .metadata
            .storage_info(pallet, entry)
            .map_err(|_| self.missing(item()))?;
        let bytes = stored
            .or(info.default_value.as_deref())
            .ok_or_else(|| self.missing(item()))?;
        T::decode_as_type(&mut &*bytes, info.value_id, self.metadata.types())
            .map_err(|error| self.decode_error(item(), error))
    }

    /// A stored value; `None` where nothing is stored and the runtime declares no default.
    pub(crate) fn storage_option<T: DecodeAsType>(
        &self,
        pallet: &str,
        entry: &str,
        stored: Option<&[u8]>,
    ) -> Result<Option<T>, Error> {
        let default = self.metadata.storage_info(pallet, entry);
        if stored.is_none() && default.is_ok_and(|info| info.default_value.is_none()) {
            return Ok(None);
        }
        self.storage_value(pallet, entry, stored).map(Some)
    }

    /// The name and the encoded arguments of a call of a runtime API.
    pub(crate) fn api_input(
        &self,
        api: &str,
        method: &str,
        inputs: impl IntoEncodableValues,
    ) -> Result<(String, Vec<u8>), Error> {
        let item = || format!("{api}.{method}");
        if self.metadata.runtime_api_info(api, method).is_err() {
            return Err(self.missing(item()));
        }
        let bytes = encode_runtime_api_inputs(api, method, inputs, &self.metadata, self.metadata.types())
            .map_err(|error| self.decode_error(item(), error))?;
        Ok((format!("{api}_{method}"), bytes))
    }

    /// The answer of a runtime API, by the names that it declares.
    pub(crate) fn api_output<T: DecodeAsType>(
        &self,
        api: &str,
        method: &str,
        bytes: &[u8],
    ) -> Result<T, Error> {
        let item = || format!("{api}.{method}");
        let info = self
            .metadata
            .runtime_api_info(api, method)
            .map_err(|_| self.missing(item()))?;
        T::decode_as_type(&mut &*bytes, info.output_id, self.metadata.types()).map_err(|error| {
            match error.kind() {
                ErrorKind::CannotFindField { name } => self.missing(format!("{}.{name}", item())),
                _ => self.decode_error(item(), error),
            }
        })
    }
}

/// Metadata from its bytes: bare, opaque (a byte vector), or an option of that.
fn decode_metadata(scale: &[u8]) -> Result<Metadata, Error> {
    let wrong = |error: codec::Error| Error::Metadata(error.into());
    let opaque: Vec<u8>;
    let bare = if scale.starts_with(MAGIC) {
        scale
    } else if let Ok(Some(bytes)) = <Option<Vec<u8>> as codec::DecodeAll>::decode_all(&mut &*scale) {
        opaque = bytes;
        &opaque
    } else {
        opaque = <Vec<u8> as codec::DecodeAll>::decode_all(&mut &*scale).map_err(wrong)?;
        &opaque
    };
    Metadata::decode_from(bare).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> Runtime {
        Runtime::from_metadata(include_bytes!("../tests/it/data/metadata-461.scale")).unwrap()
    }

    /// So that every test tells of an item that is read and that the doctor does not look for.
    #[test]
    #[should_panic(expected = "SubtensorModule.Kappa (Storage) is not in metadata/surface.toml")]
    fn nothing_is_read_that_is_not_listed() {
        let _ = runtime().storage_key("SubtensorModule", "Kappa", (1_u16,));
    }

    #[test]
    #[should_panic(expected = "System.SS58Prefix (Constant) is not in")]
    fn no_constant_is_read_that_is_not_listed() {
        runtime().constant::<u16>("System", "SS58Prefix");
    }

    #[test]
    #[should_panic(expected = "SubtensorModule.burned_register (Call) is not in")]
    fn nothing_is_called_that_is_not_listed() {
        runtime().has_call("SubtensorModule", "burned_register");
    }

    #[test]
    fn what_is_listed_is_read() {
        let runtime = runtime();
        assert!(runtime.storage_key("SubtensorModule", "Tempo", (1_u16,)).is_ok());
        assert_eq!(runtime.constant("Aura", "SlotDuration"), Some(250_u64));
        assert!(runtime.has_call("SubtensorModule", "set_weights"));
    }
}
