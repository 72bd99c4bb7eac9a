//! Pages and counts, over all shards.

use super::RedisRoutes;
use super::member::{Bound, ProcessNumber, SHARDS, prefix};
use crate::error::{Error, Result};
use crate::routes::LIST_MAX;
use futures_util::future::try_join_all;
use gpusher_proto::data::{Count, Route, RoutePage};
use gpusher_redis::cmd;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Read of a shard beyond its fair part of a page, so that few are read twice.
const READ_AHEAD: usize = 8;

/// Where a page's reading of a shard is.
struct Shard {
    number: u64,
    /// In order.
    members: VecDeque<Vec<u8>>,
    /// Where the next reading begins; none at the end.
    next: Option<Vec<u8>>,
}

impl RedisRoutes {
    /// Counts of connections are exact. A user of several gateways, one of which is gone, may be missing until that one's bindings are
    /// removed.
    pub(super) async fn counts_of(&self, app_id: u32) -> Result<Vec<Count>> {
        let counts = try_join_all((0..SHARDS).map(|shard| async move {
            let [_, counts] = self.keys.of_shard(shard);
            let counts: Vec<(Vec<u8>, u64)> = self.call(cmd("HGETALL").arg(counts)).await?;
            Ok::<_, Error>(counts)
        }));
        let counts = counts.await?;
        let table = self.leases.current().await?;
        let mut totals = BTreeMap::<u32, Count>::new();
        for (field, number) in counts.into_iter().flatten() {
            let Some((of, process, what)) = parse_field(&field) else { continue };
            if (app_id != 0 && of != app_id) || table.gateway(process).is_none() {
                continue;
            }
            let total = totals.entry(of).or_default();
            total.app_id = of;
            match what {
                b'u' => total.users += number,
                _ => total.connections += number,
            }
        }
        Ok(totals.into_values().collect())
    }

    /// Reads a little of each shard, and more of those that the page takes it from.
    pub(super) async fn page(&self, page: RoutePage) -> Result<Vec<Route>> {
        let limit = match page.limit {
            0 => LIST_MAX,
            limit => limit.min(LIST_MAX),
        } as usize;
        let mut after = prefix(page.app_id, &page.after_user);
        after.extend(page.after_conn.to_be_bytes());
        // More than any process, of which there is one after the connection.
        after.push(u8::MAX);
        let read = limit.div_ceil(SHARDS as usize) + READ_AHEAD;
        let shards = (0..SHARDS).map(|number| self.begin(number, page.app_id, after.clone(), read));
        let mut shards = try_join_all(shards).await?;
        let table = self.leases.current().await?;
        let mut heads: BinaryHeap<_> =
            (0..shards.len()).filter_map(|index| head(&mut shards[index], index)).collect();
        let mut routes = Vec::new();
        while let Some(Reverse((member, index))) = heads.pop() {
            routes.extend(Bound::parse(&member).and_then(|bound| table.route(bound)));
            if routes.len() == limit {
                break;
            }
            let shard = &mut shards[index];
            if shard.members.is_empty() {
                self.read_on(shard, page.app_id, read * 4).await?;
            }
            heads.extend(head(shard, index));
        }
        Ok(routes)
    }

    async fn begin(&self, number: u64, app_id: u32, after: Vec<u8>, read: usize) -> Result<Shard> {
        let mut shard = Shard { number, members: VecDeque::new(), next: Some(after) };
        self.read_on(&mut shard, app_id, read).await?;
        Ok(shard)
    }

    async fn read_on(&self, shard: &mut Shard, app_id: u32, read: usize) -> Result<()> {
        let Some(after) = shard.next.take() else { return Ok(()) };
        let [routes, _] = self.keys.of_shard(shard.number);
        let from = [b"(", after.as_slice()].concat();
        let to = match app_id.checked_add(1) {
            Some(next_app) => [b"(".as_slice(), &next_app.to_be_bytes()].concat(),
            None => b"+".to_vec(),
        };
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(routes).arg(from).arg(to).arg("LIMIT").arg(0).arg(read);
        let members: Vec<Vec<u8>> = self.call(&range).await?;
        shard.next = members.last().filter(|_| members.len() == read).cloned();
        shard.members = members.into();
        Ok(())
    }
}

fn head(shard: &mut Shard, index: usize) -> Option<Reverse<(Vec<u8>, usize)>> {
    shard.members.pop_front().map(|member| Reverse((member, index)))
}

/// App, process, and what is counted.
fn parse_field(field: &[u8]) -> Option<(u32, ProcessNumber, u8)> {
    let (app_id, rest) = field.split_first_chunk()?;
    let (process, what) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*app_id), ProcessNumber::from_bytes(*process), *what.first()?))
}
