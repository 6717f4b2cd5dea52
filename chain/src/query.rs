//! Many stored values of one block in one question, each read by the type that the runtime declares for it.

use std::marker::PhantomData;
use std::ops::Range;

use subxt::ext::frame_decode::helpers::IntoEncodableValues;
use subxt::ext::scale_decode::DecodeAsType;

use crate::client::Client;
use crate::error::Error;
use crate::runtime::Runtime;
use crate::types::BlockRef;

/// How many keys one request asks for: 170 kB of it, and answers well below what a node gives at once.
const KEYS: usize = 1000;

/// What is to be asked.
pub(crate) struct Query<'a> {
    runtime: &'a Runtime,
    keys: Vec<Vec<u8>>,
}

/// Where the values of one entry are in the answer.
pub(crate) struct Slot<T> {
    pallet: &'static str,
    entry: &'static str,
    at: Range<usize>,
    value: PhantomData<T>,
}

/// What was answered.
pub(crate) struct Answer<'a> {
    runtime: &'a Runtime,
    stored: Vec<Option<Vec<u8>>>,
}

impl<'a> Query<'a> {
    pub(crate) const fn new(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            keys: Vec::new(),
        }
    }

    /// Asks for one entry below each of these keys.
    pub(crate) fn many<T, K: IntoEncodableValues>(
        &mut self,
        pallet: &'static str,
        entry: &'static str,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Slot<T>, Error> {
        let from = self.keys.len();
        for key in keys {
            self.keys.push(self.runtime.storage_key(pallet, entry, key)?);
        }
        Ok(Slot {
            pallet,
            entry,
            at: from..self.keys.len(),
            value: PhantomData,
        })
    }

    /// Asks for one value; `()` for a plain one.
    pub(crate) fn one<T>(
        &mut self,
        pallet: &'static str,
        entry: &'static str,
        key: impl IntoEncodableValues,
    ) -> Result<Slot<T>, Error> {
        self.many(pallet, entry, [key])
    }

    /// Asks the node: one request, or one after the other when there are many keys.
    pub(crate) async fn send(self, client: &Client, block: BlockRef) -> Result<Answer<'a>, Error> {
        let mut stored = Vec::with_capacity(self.keys.len());
        for keys in self.keys.chunks(KEYS) {
            stored.extend(client.stored(block, keys).await?);
        }
        Ok(Answer {
            runtime: self.runtime,
            stored,
        })
    }
}

impl Answer<'_> {
    fn raw<T>(&self, slot: &Slot<T>) -> impl Iterator<Item = Option<&[u8]>> {
        let stored = self.stored.get(slot.at.clone()).unwrap_or_default();
        stored.iter().map(Option::as_deref)
    }

    /// The values, in the order of the keys; the runtime's default where nothing is stored.
    pub(crate) fn all<T: DecodeAsType>(&self, slot: &Slot<T>) -> Result<Vec<T>, Error> {
        self.raw(slot)
            .map(|stored| self.runtime.storage_value(slot.pallet, slot.entry, stored))
            .collect()
    }

    /// The values, in the order of the keys; `None` where nothing is stored and there is no default.
    pub(crate) fn options<T: DecodeAsType>(&self, slot: &Slot<T>) -> Result<Vec<Option<T>>, Error> {
        self.raw(slot)
            .map(|stored| self.runtime.storage_option(slot.pallet, slot.entry, stored))
            .collect()
    }

    /// The value of a slot of one.
    pub(crate) fn value<T: DecodeAsType>(&self, slot: &Slot<T>) -> Result<T, Error> {
        let stored = self.raw(slot).next().flatten();
        self.runtime.storage_value(slot.pallet, slot.entry, stored)
    }

    /// The value of a slot of one; `None` where nothing is stored and there is no default.
    pub(crate) fn option<T: DecodeAsType>(&self, slot: &Slot<T>) -> Result<Option<T>, Error> {
        let stored = self.raw(slot).next().flatten();
        self.runtime.storage_option(slot.pallet, slot.entry, stored)
    }
}
