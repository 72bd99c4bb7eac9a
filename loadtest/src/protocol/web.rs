//! gpusher's pushes over HTTP: `POST /v1/push`, and `/v1/push/batch` for several in one request.

use super::http::Answers;
use super::{Broken, Push, Pusher, PusherOptions, To, Told};
use crate::account::Account;
use serde::Deserialize;
use std::fmt::Write;

/// See the module.
#[derive(Debug)]
pub struct Web {
    account: Account,
    /// Everything after the request line that is the same for all requests.
    headers: String,
    body: String,
    /// Whether requests are batches, were it of one push.
    batched: bool,
    /// Of what was accepted, if they are wanted.
    ids: Option<Vec<u64>>,
}

/// What is read of a batch's answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    data: Counts,
}

#[derive(Deserialize)]
struct Counts {
    accepted: u32,
}

/// What is read of an answer where ids are wanted: of one push, or of each in a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    data: Names,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    Many { results: Vec<Id> },
    One(Id),
}

#[derive(Deserialize)]
struct Id {
    #[serde(default)]
    id: String,
}

impl Web {
    /// For clients of this account.
    pub fn new(account: &Account, options: &PusherOptions) -> Self {
        let mut headers = format!("Host: {}\r\nContent-Type: application/json\r\n", options.host);
        if let Some(key) = &options.api_key {
            write!(headers, "Authorization: Bearer {key}\r\n").expect("a string takes all");
        }
        let ids = options.ids.then(Vec::new);
        let batched = options.batch > 1;
        Self { account: account.clone(), headers, body: String::new(), batched, ids }
    }

    fn note_ids(&mut self, body: &[u8]) -> Result<(), Broken> {
        let Some(ids) = &mut self.ids else { return Ok(()) };
        let named: Named = serde_json::from_slice(body).map_err(|_| Broken)?;
        let names = match named.data {
            Names::Many { results } => results,
            Names::One(id) => vec![id],
        };
        // An entry of a batch that was refused has none.
        ids.extend(names.iter().filter_map(|name| name.id.parse::<u64>().ok()));
        Ok(())
    }

    fn put_push(&mut self, push: &Push) {
        let Self { account, body, .. } = self;
        // Tag and prefix come from the command line and are taken as they are: who quotes them gets 400.
        write!(body, r#"{{"tag":"{}","body":{{"#, account.tag).expect("a string takes all");
        match push.to {
            To::User(index) => {
                body.push_str(r#""type":1,"uuid":""#);
                account.push_user(index, body);
                body.push('"');
            }
            To::App => body.push_str(r#""type":2"#),
            To::Everyone => body.push_str(r#""type":3"#),
            To::Topic(topic) => {
                body.push_str(r#""type":4,"topic":""#);
                account.push_topic(topic, body);
                body.push('"');
            }
        }
        body.push_str(r#","content":""#);
        push.stamp.write(push.size, body);
        write!(body, r#"","offlinePush":{}}}}}"#, push.kept).expect("a string takes all");
    }
}

impl Pusher for Web {
    fn greet(&mut self, _out: &mut Vec<u8>) {}

    fn request(&mut self, pushes: &[Push], out: &mut Vec<u8>) {
        self.body.clear();
        if self.batched {
            self.body.push('[');
        }
        for (index, push) in pushes.iter().enumerate() {
            if index > 0 {
                self.body.push(',');
            }
            self.put_push(push);
        }
        if self.batched {
            self.body.push(']');
        }
        let path = if self.batched { "/v1/push/batch" } else { "/v1/push" };
        let Self { headers, body, .. } = &*self;
        let head = format_args!(
            "POST {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        std::io::Write::write_fmt(out, head).expect("a vector takes all");
    }

    fn read(&mut self, bytes: &[u8], told: &mut dyn FnMut(Told)) -> Result<usize, Broken> {
        let mut answers = Answers::new(bytes);
        while let Some(answer) = answers.next_answer()? {
            let accepted = match (answer.is_success(), self.batched) {
                (true, false) => 1,
                (true, true) => {
                    let envelope = serde_json::from_slice::<Envelope>(answer.body);
                    envelope.map_err(|_| Broken)?.data.accepted
                }
                (false, _) => 0,
            };
            if answer.is_success() {
                self.note_ids(answer.body)?;
            }
            told(Told::Answer { accepted });
        }
        Ok(answers.used)
    }

    fn unanswered_max(&self) -> Option<u32> {
        Some(1)
    }

    fn ids(&self) -> &[u64] {
        self.ids.as_deref().unwrap_or_default()
    }
}
