//! zlib, at one's own pace outwards and bounded inwards.

use super::code::{Code, WireError};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Compresses, if that makes it smaller.
///
/// The fastest level: pushes are compressed where they are delivered, and the first third of the gain is the cheap one.
pub(super) fn deflate_if_smaller(content: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(content.len());
    let status = Compress::new(Compression::fast(), true).compress_vec(
        content,
        &mut out,
        FlushCompress::Finish,
    );
    // The output may not grow beyond the input: without an end it did not get smaller.
    (matches!(status, Ok(Status::StreamEnd)) && out.len() < content.len()).then_some(out)
}

/// Decompresses a whole zlib stream of at most `bytes_max` bytes, whatever it claims to become.
///
/// # Errors
/// `too_large` beyond the limit, `malformed` if it is not exactly one zlib stream.
pub fn inflate(compressed: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
    const CORRUPT: WireError = WireError::malformed("body is not one zlib stream");
    let mut stream = Decompress::new(true);
    let mut out = Vec::with_capacity(compressed.len().saturating_mul(4).min(bytes_max) + 1);
    loop {
        let taken = stream.total_in() as usize;
        let made = out.len();
        let status = stream
            .decompress_vec(&compressed[taken..], &mut out, FlushDecompress::None)
            .map_err(|_| CORRUPT)?;
        if out.len() > bytes_max {
            return Err(WireError::new(Code::TooLarge, "body inflates beyond the limit"));
        }
        if status == Status::StreamEnd {
            let whole = stream.total_in() as usize == compressed.len();
            return if whole { Ok(out) } else { Err(CORRUPT) };
        }
        if out.len() < out.capacity() && out.len() == made && stream.total_in() as usize == taken {
            return Err(CORRUPT);
        }
        // One byte over the limit tells "full" from "beyond".
        let room = (bytes_max + 1).saturating_sub(out.len());
        out.reserve_exact(out.len().max(64).min(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_at_exactly_the_limit() {
        let content = "a message, and again a message; ".repeat(1000).into_bytes();
        let compressed = deflate_if_smaller(&content).expect("repeats compress");
        assert!(compressed.len() < content.len() / 10);
        assert_eq!(inflate(&compressed, content.len()), Ok(content.clone()));
        let error = inflate(&compressed, content.len() - 1).unwrap_err();
        assert_eq!(error.code, Code::TooLarge);
    }

    #[test]
    fn a_bomb_costs_what_the_limit_allows() {
        let bomb = deflate_if_smaller(&vec![0; 64 << 20]).expect("zeros compress");
        assert_eq!(inflate(&bomb, 4 << 20).unwrap_err().code, Code::TooLarge);
    }

    #[test]
    fn only_one_whole_stream_will_do() {
        let compressed = deflate_if_smaller(&[7; 100]).expect("repeats compress");
        for cut in 0..compressed.len() {
            assert_eq!(
                inflate(&compressed[..cut], 100).unwrap_err().code,
                Code::Malformed,
                "{cut}"
            );
        }
        let twice = [compressed.clone(), compressed].concat();
        assert_eq!(inflate(&twice, 1000).unwrap_err().code, Code::Malformed);
        assert_eq!(inflate(b"hello", 1000).unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn what_does_not_shrink_stays() {
        assert_eq!(deflate_if_smaller(b"abcdefgh"), None);
        assert_eq!(deflate_if_smaller(b""), None);
    }
}
