//! Clients' messages: to a user or a topic by the queue, to the application by the store.

use super::*;
use crate::error::Result;
use gpusher_proto::data::{Job, Push, job};
use gpusher_proto::gateway::Upstream;
use login::code;

/// Longest name of a user or topic.
const NAME_BYTES: usize = 64;
const TO_APPLICATION: u32 = 0;
const TO_USER: u32 = 1;
const TO_TOPIC: u32 = 4;

impl Core {
    pub(super) fn on_upstream(&mut self, upstream: Upstream) {
        self.count(Count::Upstream, 1);
        let Some(device) = self.sessions.get(upstream.conn).map(|it| it.device.clone()) else {
            return self.count(Count::EventsForeign, 1);
        };
        if let Err(code) = self.check_upstream(&upstream) {
            self.count(Count::UpstreamRefused, 1);
            if upstream.answer {
                self.answer(upstream.conn, upstream.request, code, 0);
            }
            return;
        }
        let bytes = upstream.content.len();
        self.upstream_count += 1;
        self.upstream_bytes += bytes;
        let id = self.ids.next();
        let (conn, request) = (upstream.conn, upstream.answer.then_some(upstream.request));
        if upstream.target == TO_APPLICATION {
            let what = self.to_application(id, &device, upstream);
            self.files.push(UpstreamAsk { conn, request, id, bytes, what });
        } else {
            let what = self.to_clients(id, &device, upstream);
            self.publishes.push(UpstreamAsk { conn, request, id, bytes, what });
        }
    }

    fn check_upstream(&self, upstream: &Upstream) -> std::result::Result<(), u32> {
        let named = !upstream.name.is_empty() && upstream.name.len() <= NAME_BYTES;
        match upstream.target {
            TO_APPLICATION => {}
            TO_USER | TO_TOPIC if named => {}
            _ => return Err(code::NO_SUCH_TARGET),
        }
        if upstream.content.len() > self.limits.content_bytes {
            return Err(code::TOO_LARGE);
        }
        let full = self.upstream_count >= self.limits.upstream_waiting
            || self.upstream_bytes + upstream.content.len() > self.limits.upstream_bytes;
        if full { Err(code::NOT_AVAILABLE) } else { Ok(()) }
    }

    fn to_application(&self, id: u64, device: &Device, upstream: Upstream) -> UpstreamMessage {
        UpstreamMessage {
            position: 0,
            id,
            app_id: device.app_id,
            user: device.user().to_owned(),
            device: device.device().to_owned(),
            content: upstream.content,
            at_ms: self.now.unix_ms,
        }
    }

    fn to_clients(&self, id: u64, device: &Device, upstream: Upstream) -> Record {
        let (users, topic) = match upstream.target {
            TO_USER => (vec![upstream.name.clone()], String::new()),
            _ => (Vec::new(), upstream.name.clone()),
        };
        let push = Push {
            id,
            r#type: upstream.target,
            app_id: device.app_id,
            users,
            topic,
            content: upstream.content,
            offline_push: self.limits.upstream_kept,
            sender: device.user().to_owned(),
            accepted_at_ms: self.now.unix_ms,
            ..Push::default()
        };
        // As web does it: what goes to one user or topic stays in order.
        let audience = if upstream.target == TO_USER { "user" } else { "topic" };
        let key = format!("{audience}/{}/{}", device.app_id, upstream.name);
        Record { offset: 0, key, job: Some(Job { kind: Some(job::Kind::Push(push)) }) }
    }

    pub(super) fn on_upstream_done<T>(&mut self, asks: Vec<UpstreamAsk<T>>, result: Result<()>) {
        let (code, done) = match result {
            Ok(()) => (code::DONE, true),
            Err(_) => (code::NOT_AVAILABLE, false),
        };
        for ask in asks {
            self.upstream_count -= 1;
            self.upstream_bytes -= ask.bytes;
            self.count(Count::UpstreamRefused, u64::from(!done));
            if let Some(request) = ask.request {
                self.answer(ask.conn, request, code, if done { ask.id } else { 0 });
            }
        }
    }
}
