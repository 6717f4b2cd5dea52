//! What only writing needs: calls and their arguments, constants, the events and errors that tell what became of a call,
//! and what is signed beside it. Without any of these a snapshot is read all the same.

use std::collections::BTreeSet;

use serde::Deserialize;
use subxt::Metadata;

use super::items::compare;
use super::{Finding, Kind, Status, Surface};
use crate::shape;

/// A constant of a pallet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstantItem {
    /// The pallet's name.
    pub pallet: String,
    /// The constant's name.
    pub constant: String,
    /// Its type.
    pub r#type: String,
    /// The oldest runtime known to have it.
    pub since: u32,
    /// What is lost when it is missing or changed.
    pub without: String,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallItem {
    /// The pallet's name.
    pub pallet: String,
    /// The call's name.
    pub call: String,
    /// What it takes, in any order.
    pub arguments: Vec<Argument>,
    /// The oldest runtime known to have it.
    pub since: u32,
    /// What is lost when it is missing or changed.
    pub without: String,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventItem {
    /// The pallet's name.
    pub pallet: String,
    /// The event's name.
    pub event: String,
    /// The oldest runtime known to have it.
    pub since: u32,
    /// What is lost when it is missing.
    pub without: String,
}

/// Errors of a pallet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorItem {
    /// The pallet's name.
    pub pallet: String,
    /// The names of the errors.
    pub errors: Vec<String>,
    /// The oldest runtime known to have them.
    pub since: u32,
    /// What is lost when one is missing.
    pub without: String,
}

/// The form of an extrinsic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtrinsicItem {
    /// Its version.
    pub version: u8,
    /// The oldest runtime known to take it.
    pub since: u32,
    /// What is lost when it is not taken, or when it carries data of an extension that is not listed.
    pub without: String,
}

/// A transaction extension that carries data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionItem {
    /// Its identifier.
    pub extension: String,
    /// The type of what it adds to the extrinsic.
    pub extra: String,
    /// The type of what it adds to what is signed.
    pub implicit: String,
    /// The oldest runtime known to have it.
    pub since: u32,
    /// What is lost when it is missing or changed.
    pub without: String,
}

impl Surface {
    pub(super) fn items_of_writing(&self) -> BTreeSet<(Kind, String)> {
        let constants = self.constant.iter().map(|item| (Kind::Constant, item.name()));
        let calls = self.call.iter().map(|item| (Kind::Call, item.name()));
        let events = self.event.iter().map(|item| (Kind::Event, item.name()));
        let errors = self.error.iter().flat_map(ErrorItem::names);
        let errors = errors.map(|name| (Kind::Error, name));
        let extensions = self.extension.iter();
        let extensions = extensions.map(|item| (Kind::Extension, item.extension.clone()));
        let all = constants.chain(calls).chain(events);
        all.chain(errors).chain(extensions).collect()
    }

    pub(super) fn check_writing(&self, metadata: &Metadata) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.constant.iter().map(|item| item.check(metadata)));
        findings.extend(self.call.iter().map(|item| item.check(metadata)));
        findings.extend(self.event.iter().map(|item| item.check(metadata)));
        findings.extend(self.error.iter().flat_map(|item| item.check(metadata)));
        if let Some(extrinsic) = &self.extrinsic {
            findings.push(extrinsic.check(metadata));
            findings.extend(self.extension.iter().map(|item| item.check(metadata)));
            findings.extend(extrinsic.check_unlisted(&self.extension, metadata));
        }
        findings
    }
}

fn finding(item: String, status: Status, without: &str) -> Finding {
    Finding {
        item,
        status,
        ways: Vec::new(),
        required: false,
        without: without.to_owned(),
    }
}

impl ConstantItem {
    fn name(&self) -> String {
        format!("{}.{}", self.pallet, self.constant)
    }

    fn check(&self, metadata: &Metadata) -> Finding {
        let pallet = metadata.pallet_by_name(&self.pallet);
        let constant = pallet.and_then(|pallet| pallet.constant_by_name(&self.constant));
        let status = constant.map_or(Status::Missing, |constant| {
            compare(self.r#type.clone(), shape::name(metadata.types(), constant.ty()))
        });
        finding(self.name(), status, &self.without)
    }
}

impl CallItem {
    fn name(&self) -> String {
        format!("{}.{}", self.pallet, self.call)
    }

    fn check(&self, metadata: &Metadata) -> Finding {
        let pallet = metadata.pallet_by_name(&self.pallet);
        let call = pallet.and_then(|pallet| pallet.call_variant_by_name(&self.call));
        let status = call.map_or(Status::Missing, |call| {
            let found = call.fields.iter().map(|field| Argument {
                name: field.name.clone().unwrap_or_default(),
                r#type: shape::name(metadata.types(), field.ty.id),
            });
            // They are given by name.
            let told = |arguments: Vec<Argument>| {
                let arguments: BTreeSet<Argument> = arguments.into_iter().collect();
                let arguments = arguments.iter();
                let arguments = arguments.map(|Argument { name, r#type }| format!("{name} {type}"));
                format!("({})", arguments.collect::<Vec<_>>().join(", "))
            };
            compare(told(self.arguments.clone()), told(found.collect()))
        });
        finding(self.name(), status, &self.without)
    }
}

impl EventItem {
    fn name(&self) -> String {
        format!("{}.{}", self.pallet, self.event)
    }

    fn check(&self, metadata: &Metadata) -> Finding {
        let pallet = metadata.pallet_by_name(&self.pallet);
        let variants = pallet.and_then(|pallet| pallet.event_variants());
        let mut variants = variants.into_iter().flatten();
        let is_there = variants.any(|variant| variant.name == self.event);
        finding(self.name(), there(is_there), &self.without)
    }
}

impl ErrorItem {
    fn names(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|error| format!("{}.{error}", self.pallet))
    }

    fn check(&self, metadata: &Metadata) -> Vec<Finding> {
        let pallet = metadata.pallet_by_name(&self.pallet);
        let variants = pallet.and_then(|pallet| pallet.error_variants());
        let variants = variants.unwrap_or_default();
        let has = |error: &String| variants.iter().any(|variant| variant.name == *error);
        let findings = self.names().zip(&self.errors);
        findings
            .map(|(name, error)| finding(name, there(has(error)), &self.without))
            .collect()
    }
}

impl ExtrinsicItem {
    fn check(&self, metadata: &Metadata) -> Finding {
        let versions = metadata.extrinsic().supported_versions();
        let item = format!("extrinsic version {}", self.version);
        finding(item, there(versions.contains(&self.version)), &self.without)
    }

    /// Those that are not listed must carry nothing: what they carry is unknown.
    fn check_unlisted(&self, listed: &[ExtensionItem], metadata: &Metadata) -> Vec<Finding> {
        let is_listed = |name: &str| listed.iter().any(|item| item.extension == name);
        let unlisted = extensions(metadata).filter(|(name, ..)| !is_listed(name));
        unlisted
            .filter(|(_, extra, implicit)| {
                let types = metadata.types();
                !(shape::is_empty(types, *extra) && shape::is_empty(types, *implicit))
            })
            .map(|(name, extra, implicit)| {
                let found = carried(metadata, extra, implicit);
                let status = compare(told("()", "()"), found);
                finding(name.to_owned(), status, &self.without)
            })
            .collect()
    }
}

impl ExtensionItem {
    fn check(&self, metadata: &Metadata) -> Finding {
        let mut extensions = extensions(metadata);
        let status = match extensions.find(|(name, ..)| *name == self.extension) {
            None => Status::Missing,
            Some((_, extra, implicit)) => compare(
                told(&self.extra, &self.implicit),
                carried(metadata, extra, implicit),
            ),
        };
        finding(self.extension.clone(), status, &self.without)
    }
}

/// Identifier, and the types of what it adds to the extrinsic and to what is signed.
fn extensions(metadata: &Metadata) -> impl Iterator<Item = (&str, u32, u32)> {
    let listed = metadata.extrinsic().transaction_extensions_by_version(0);
    let listed = listed.into_iter().flatten();
    listed.map(|extension| {
        (
            extension.identifier(),
            extension.extra_ty(),
            extension.additional_ty(),
        )
    })
}

fn carried(metadata: &Metadata, extra: u32, implicit: u32) -> String {
    let name = |id| shape::name(metadata.types(), id);
    told(&name(extra), &name(implicit))
}

fn told(extra: &str, implicit: &str) -> String {
    format!("{extra}, {implicit} signed")
}

fn there(is_there: bool) -> Status {
    if is_there { Status::Found } else { Status::Missing }
}
