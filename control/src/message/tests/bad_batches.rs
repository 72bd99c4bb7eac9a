//! Requests that no process of ours sends, to every service of the role: each is answered, whatever it says, and the role goes on.

use super::*;
use bytes::{Buf, BufMut, Bytes};
use gpusher_proto::wire::fuzz::{Random, inputs};
use std::error::Error as _;
use std::fs;
use std::path::Path;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Takes requests and answers for bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(
        &mut self,
        item: Bytes,
        buffer: &mut EncodeBuf<'_>,
    ) -> std::result::Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> std::result::Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Requests as our processes send them, by the method's path.
fn corpus() -> Vec<(PathAndQuery, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/message/tests/corpus");
    let mut requests = Vec::new();
    for method in fs::read_dir(root).expect("the corpus is there") {
        let folder = method.expect("readable").path();
        let name = folder.file_name().and_then(|name| name.to_str()).expect("Service.Method");
        let path = format!("/gpusher.data.v1.{}", name.replace('.', "/"));
        for file in fs::read_dir(&folder).expect("requests of the method") {
            let request = fs::read(file.expect("readable").path()).expect("readable");
            requests.push((path.parse::<PathAndQuery>().expect("a path"), request));
        }
    }
    requests.sort_by(|a, b| (a.0.as_str(), &a.1).cmp(&(b.0.as_str(), &b.1)));
    requests
}

async fn ask(channel: &Channel, path: &PathAndQuery, request: Vec<u8>) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("the role is there");
    let text = format!("{path} {request:?}");
    let answer = client.unary(Request::new(Bytes::from(request)), path.clone(), Raw).await;
    let refused = answer.err()?;
    // What the role says comes alone; what the connection says, when whoever should have answered is gone, has a cause.
    assert!(refused.source().is_none(), "{text}: {refused}");
    Some(refused)
}

#[tokio::test]
async fn no_batch_makes_the_role_fail() {
    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    let channel = Channel::from_shared(format!("http://{}", role.addr)).unwrap().connect_lazy();
    let corpus = corpus();
    let whole = || corpus.iter().map(|(path, request)| ask(&channel, path, request.clone()));
    for answer in whole() {
        let refused = answer.await;
        assert!(refused.is_none(), "{refused:?}");
    }
    let mut random = Random::seeded();
    let mut refused = 0;
    for _ in inputs(2_000) {
        let (path, request) = &corpus[random.below(corpus.len())];
        let mut request = request.clone();
        random.damage(&mut request);
        refused += u64::from(ask(&channel, path, request).await.is_some());
    }
    println!("{refused} refused");
    for (answer, (path, _)) in whole().zip(&corpus) {
        // Numbers and names may be taken by then, and leases gone.
        let code = answer.await.map(|refused| refused.code());
        let broken = [tonic::Code::Internal, tonic::Code::Unavailable, tonic::Code::Unknown];
        assert!(code.is_none_or(|code| !broken.contains(&code)), "{path}: {code:?}");
    }
    role.stop().await;
}
