//! Records that are stored together: one row, one read.

use crate::error::{Code, Error, Result};
use bytes::Bytes;
use gpusher_proto::data::Record;
use prost::Message;

/// Encoded records. Their offsets are not in the body: they follow from the batch's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    /// How many; never 0.
    pub(super) records: u64,
    /// The records one after the other, each with its length before it.
    pub(super) body: Bytes,
}

impl Batch {
    /// Encodes records; whatever offsets they have are left out.
    pub(super) fn encode(records: &[Record]) -> Self {
        assert!(!records.is_empty());
        let size = records.iter().map(|record| record.encoded_len() + 5).sum();
        let mut body = Vec::with_capacity(size);
        for record in records {
            if record.offset == 0 {
                record.encode_length_delimited(&mut body)
            } else {
                Record { offset: 0, ..record.clone() }.encode_length_delimited(&mut body)
            }
            .expect("a vector grows");
        }
        Self { records: records.len() as u64, body: body.into() }
    }

    /// The batches in one.
    pub(super) fn join(parts: &[Self]) -> Self {
        if let [one] = parts {
            return one.clone();
        }
        let mut body = Vec::with_capacity(parts.iter().map(|part| part.body.len()).sum());
        for part in parts {
            body.extend_from_slice(&part.body);
        }
        Self { records: parts.iter().map(|part| part.records).sum(), body: body.into() }
    }

    /// Bytes of the body.
    pub(super) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// The records, the first of which has the offset `first`. `internal` if the body is not what was written.
    pub(super) fn decode(&self, first: u64) -> Result<Vec<Record>> {
        let mut body = self.body.clone();
        let mut records = Vec::with_capacity(self.records as usize);
        for offset in first..first + self.records {
            let mut record = Record::decode_length_delimited(&mut body).map_err(|error| {
                Error::new(Code::Internal, format!("queue record {offset} is damaged: {error}"))
            })?;
            record.offset = offset;
            records.push(record);
        }
        Ok(records)
    }
}
