//! `serve_axon`: says on the chain where a hotkey serves. Whoever reads it is told; nobody checks that it is true.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use subxt::ext::scale_decode::DecodeAsType;
use subxt::ext::scale_value::Value;

use crate::client::Client;
use crate::extrinsic::Call;
use crate::keys::Keypair;
use crate::query::Query;
use crate::snapshot::PALLET;
use crate::submit::WriteError;
use crate::types::{BlockRef, NetUid};

/// The protocol number that the Python SDK serves with.
const PROTOCOL: u8 = 4;

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Stored {
    block: u64,
    ip: u128,
    port: u16,
    ip_type: u8,
}

impl Client {
    /// Publishes an address for the hotkey on a subnet, and reads it back. `version` is that of its software.
    pub async fn serve_axon(
        &self,
        keypair: &Keypair,
        netuid: NetUid,
        at: SocketAddr,
        version: u32,
    ) -> Result<BlockRef, WriteError> {
        let (ip, ip_type) = match at.ip() {
            IpAddr::V4(ip) => (u128::from(u32::from(ip)), 4_u8),
            IpAddr::V6(ip) => (u128::from(ip), 6),
        };
        let number = |number: u128| Value::u128(number);
        let call = Call::new(
            PALLET,
            "serve_axon",
            [
                ("netuid", number(netuid.0.into())),
                ("version", number(version.into())),
                ("ip", number(ip)),
                ("port", number(at.port().into())),
                ("ip_type", number(ip_type.into())),
                ("protocol", number(PROTOCOL.into())),
                ("placeholder1", number(0)),
                ("placeholder2", number(0)),
            ],
        );
        let refused = |name: &str, detail: String| WriteError::foretold(call.pallet, call.name, name, detail);
        let hotkey = keypair.hotkey();
        let head = self.finalized().await?;
        let runtime = self.runtime(head).await?;
        let mut query = Query::new(&runtime);
        let uid = query.one::<u16>(PALLET, "Uids", (netuid.0, hotkey.0))?;
        let axon = query.one::<Stored>(PALLET, "Axons", (netuid.0, hotkey.0))?;
        let limit = query.one::<u64>(PALLET, "ServingRateLimit", (netuid.0,))?;
        let answer = query.send(self, head).await?;
        if answer.option(&uid)?.is_none() {
            return Err(refused(
                "HotKeyNotRegisteredInNetwork",
                format!("on subnet {netuid}"),
            ));
        }
        if at.port() == 0 {
            return Err(refused("InvalidPort", String::new()));
        }
        if !is_servable(at.ip()) {
            return Err(refused("InvalidIpAddress", at.ip().to_string()));
        }
        let last = answer.option(&axon)?.map_or(0, |axon| axon.block);
        let ready = last.saturating_add(answer.value(&limit)?);
        if last > 0 && u64::from(head.number) + 1 < ready {
            return Err(refused(
                "ServingRateLimitExceeded",
                format!("not before block {ready}"),
            ));
        }
        let block = self.submit(keypair, &call).await?.block;

        let runtime = self.runtime(block).await?;
        let mut query = Query::new(&runtime);
        let axon = query.one::<Stored>(PALLET, "Axons", (netuid.0, hotkey.0))?;
        let stored = query.send(self, block).await?.option(&axon)?;
        let is_there =
            stored.is_some_and(|stored| (stored.ip, stored.port, stored.ip_type) == (ip, at.port(), ip_type));
        if is_there {
            Ok(block)
        } else {
            Err(WriteError::ReadBack {
                call: call.item(),
                block,
            })
        }
    }
}

/// The chain refuses the loopback address and the highest one of each kind; zero it takes.
fn is_servable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip != Ipv4Addr::LOCALHOST && ip != Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => ip != Ipv6Addr::LOCALHOST && u128::from(ip) != u128::MAX,
    }
}
