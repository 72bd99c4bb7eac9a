//! How a binding is written: as a member of a sorted set, in the order of (app, user, conn). `bindings.lua` has the layout.

use gpusher_proto::data::Route;

/// Parts that bindings are spread over, by app and user; each is in one slot of a cluster. Every process has to have the same number.
pub(super) const SHARDS: u64 = 256;
/// Six bytes: until the year 10895.
const SINCE_MS_MAX: i64 = (1 << 48) - 1;

/// Numbers a lease of a process; 5 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ProcessNumber(pub(super) u64);

impl ProcessNumber {
    pub(super) fn to_bytes(self) -> [u8; 5] {
        let [_, _, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    pub(super) fn from_bytes([a, b, c, d, e]: [u8; 5]) -> Self {
        Self(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }
}

/// What all members of a user begin with: no other user's do. Zero ends the name, so within it 0 is written as 1 1, and 1 as 1 2.
pub(super) fn prefix(app_id: u32, user: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + user.len() + 1);
    bytes.extend(app_id.to_be_bytes());
    for byte in user.bytes() {
        match byte {
            0 | 1 => bytes.extend([1, byte + 1]),
            _ => bytes.push(byte),
        }
    }
    bytes.push(0);
    bytes
}

/// The part that a user's members are in: FNV-1a of the prefix.
pub(super) fn shard(prefix: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = prefix.iter().fold(0xcbf2_9ce4_8422_2325, step);
    // The low bits of the last byte alone decide too much.
    (hash ^ (hash >> 32)) % SHARDS
}

/// What follows the prefix.
pub(super) fn suffix(route: &Route, process: ProcessNumber) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20 + route.device.len());
    bytes.extend(route.conn.to_be_bytes());
    bytes.extend(process.to_bytes());
    let [_, _, since @ ..] = route.since_ms.clamp(0, SINCE_MS_MAX).to_be_bytes();
    bytes.extend(since);
    bytes.push(u8::try_from(route.version).unwrap_or(u8::MAX));
    bytes.extend(route.device.as_bytes());
    bytes
}

/// A binding as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) process: ProcessNumber,
    /// Without its gateway, which is the process's.
    route: Route,
}

impl Bound {
    /// None if these bytes are not of ours.
    pub(super) fn parse(member: &[u8]) -> Option<Self> {
        let (app_id, rest) = member.split_first_chunk()?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        let (user, rest) = (name(&rest[..end])?, &rest[end + 1..]);
        let (conn, rest) = rest.split_first_chunk()?;
        let (process, rest) = rest.split_first_chunk()?;
        let (&[a, b, c, d, e, f], rest) = rest.split_first_chunk()?;
        let (&version, device) = rest.split_first()?;
        let route = Route {
            conn: u64::from_be_bytes(*conn),
            app_id: u32::from_be_bytes(*app_id),
            user,
            device: String::from_utf8(device.to_vec()).ok()?,
            version: version.into(),
            since_ms: i64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            ..Route::default()
        };
        Some(Self { process: ProcessNumber::from_bytes(*process), route })
    }

    pub(super) fn of_gateway(self, gateway: u32, gateway_epoch: u64) -> Route {
        Route { gateway, gateway_epoch, ..self.route }
    }
}

fn name(written: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.iter();
    while let Some(&byte) = rest.next() {
        bytes.push(if byte == 1 { rest.next()?.checked_sub(1)? } else { byte });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(user: String, device: String, conn: u64, since_ms: i64) -> Route {
        let (gateway, gateway_epoch) = (3, 9);
        Route { conn, app_id: 1000, user, device, gateway, gateway_epoch, version: 1, since_ms }
    }

    fn member(route: &Route, process: u64) -> Vec<u8> {
        let mut member = prefix(route.app_id, &route.user);
        member.extend(suffix(route, ProcessNumber(process)));
        member
    }

    proptest! {
        #[test]
        fn members_lead_back(user: String, device: String, conn: u64, since_ms in 0..1i64 << 48, process in 0..1u64 << 40) {
            let route = route(user, device, conn, since_ms);
            let bound = Bound::parse(&member(&route, process)).unwrap();
            prop_assert_eq!(bound.process, ProcessNumber(process));
            prop_assert_eq!(bound.of_gateway(3, 9), route);
        }

        #[test]
        fn members_are_in_the_order_of_user_and_connection(
            a in "[\\x00-\\x03a]{0,3}", b in "[\\x00-\\x03a]{0,3}", x: u64, y: u64,
        ) {
            let (one, other) = (route(a.clone(), "".into(), x, 7), route(b.clone(), "".into(), y, 7));
            let order = (a, x).cmp(&(b, y));
            prop_assert_eq!(member(&one, 1).cmp(&member(&other, 1)), order);
        }

        #[test]
        fn foreign_bytes_are_no_member(bytes: Vec<u8>) {
            let _ = Bound::parse(&bytes);
        }
    }

    #[test]
    fn users_are_spread_evenly() {
        let mut counts = vec![0u32; SHARDS as usize];
        for user in 0..256_000 {
            counts[shard(&prefix(1000, &format!("user-{user}"))) as usize] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 800 && *most < 1200, "{least} to {most} of 1000");
    }
}
