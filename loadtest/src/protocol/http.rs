//! As much of HTTP/1.1 as pushing needs: answers with a length, in the order of the requests.

use super::Broken;

/// An answer's status and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// As in the status line.
    pub status: u16,
    /// As long as Content-Length said.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Whole answers at the start of some bytes.
#[derive(Debug)]
pub struct Answers<'a> {
    bytes: &'a [u8],
    /// Bytes of the answers that were returned.
    pub used: usize,
}

impl<'a> Answers<'a> {
    /// Nothing is read yet.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// The next whole answer.
    ///
    /// # Errors
    /// When it is not HTTP/1.1, or has no length.
    pub fn next_answer(&mut self) -> Result<Option<Answer<'a>>, Broken> {
        let rest = &self.bytes[self.used..];
        let Some(head_bytes) = rest.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if rest.len() > HEAD_BYTES_MAX { Err(Broken) } else { Ok(None) };
        };
        let head = std::str::from_utf8(&rest[..head_bytes]).map_err(|_| Broken)?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3));
        let status = status.and_then(|digits| digits.parse().ok()).ok_or(Broken)?;
        let begin = head_bytes + 4;
        let body_bytes = if status == 204 { 0 } else { content_length(head).ok_or(Broken)? };
        let Some(body) = rest.get(begin..begin + body_bytes) else { return Ok(None) };
        self.used += begin + body_bytes;
        Ok(Some(Answer { status, body }))
    }
}

fn content_length(head: &str) -> Option<usize> {
    let value = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    head.split("\r\n").skip(1).find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_apart_at_any_cut() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\
            HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 503 Busy\r\ncontent-length:0\r\n\r\n";
        for cut in 0..=text.len() {
            let mut first = Answers::new(&text[..cut]);
            let mut seen = Vec::new();
            while let Some(answer) = first.next_answer().unwrap() {
                seen.push((answer.status, answer.body.to_vec()));
            }
            let mut second = Answers::new(&text[first.used..]);
            while let Some(answer) = second.next_answer().unwrap() {
                seen.push((answer.status, answer.body.to_vec()));
            }
            assert_eq!(seen, [(200, b"hi".to_vec()), (204, vec![]), (503, vec![])]);
            assert_eq!(first.used + second.used, text.len());
        }
    }

    #[test]
    fn what_has_no_length_is_refused() {
        assert_eq!(Answers::new(b"HTTP/1.1 200 OK\r\n\r\n").next_answer(), Err(Broken));
        assert_eq!(Answers::new(b"SMTP hello\r\n\r\n").next_answer(), Err(Broken));
    }
}
