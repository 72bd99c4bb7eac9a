//! Why a connection ends, or a request fails: the table of `WIRE.md` section 4.

use std::fmt;

/// Who could have avoided it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The client, or its network.
    Client,
    /// The application that the client belongs to.
    Application,
    /// This system.
    Server,
}

/// What the client does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Advice {
    /// Reconnect after the delay.
    Reconnect = 0,
    /// Reconnect with a new token.
    NewToken = 1,
    /// Do not reconnect: it would end the same way.
    GiveUp = 2,
}

impl Advice {
    /// Reads the number of a CLOSE frame. Numbers of the future mean [`Advice::GiveUp`], the safe one.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Reconnect,
            1 => Self::NewToken,
            _ => Self::GiveUp,
        }
    }

    /// The number in a CLOSE frame.
    pub fn number(self) -> u8 {
        self as u8
    }
}

macro_rules! codes {
    ($($number:literal $variant:ident $name:literal $fault:expr, $advice:expr, $doc:literal;)*) => {
        /// Reasons of CLOSE and GOAWAY, codes of ANSWER, refusals of version 0.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $doc] $variant = $number,)*
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Reads a number; none for numbers that the table does not have.
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name in the table; also the label of its counter.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whose fault it is; none for `done`.
            pub fn fault(self) -> Option<Fault> {
                match self {
                    $(Self::$variant => $fault,)*
                }
            }

            /// What a CLOSE with this reason advises; none where whoever closes says, or where nothing closes.
            pub fn advice(self) -> Option<Advice> {
                match self {
                    $(Self::$variant => $advice,)*
                }
            }
        }
    };
}

const CLIENT: Option<Fault> = Some(Fault::Client);
const APPLICATION: Option<Fault> = Some(Fault::Application);
const SERVER: Option<Fault> = Some(Fault::Server);
const RECONNECT: Option<Advice> = Some(Advice::Reconnect);
const NEW_TOKEN: Option<Advice> = Some(Advice::NewToken);
const GIVE_UP: Option<Advice> = Some(Advice::GiveUp);

codes! {
      0 Done            "done"             None, None,             "It worked.";
      1 BadMagic        "bad_magic"        CLIENT, GIVE_UP,        "The first byte of a frame is not 0x45.";
      2 BadVersion      "bad_version"      CLIENT, GIVE_UP,        "An unknown version, or another than the connection's first.";
      3 TooLarge        "too_large"        CLIENT, GIVE_UP,        "A body over the limit.";
      4 Malformed       "malformed"        CLIENT, GIVE_UP,        "A frame that does not say what its type says it does.";
      5 UnexpectedFrame "unexpected_frame" CLIENT, GIVE_UP,        "A type that clients do not send, or not at this moment.";
      6 LoginDeadline   "login_deadline"   CLIENT, RECONNECT,      "No complete login in time.";
      7 IdleTimeout     "idle_timeout"     CLIENT, RECONNECT,      "Silent for too long.";
      8 RateLimited     "rate_limited"     CLIENT, RECONNECT,      "More frames a second than allowed.";
    100 MissingField    "missing_field"    CLIENT, GIVE_UP,        "A login without a required field.";
    101 UnknownApp      "unknown_app"      CLIENT, GIVE_UP,        "No app has this id or tag.";
    102 BadToken        "bad_token"        CLIENT, NEW_TOKEN,      "The token is not one of ours, or another user's.";
    103 TokenExpired    "token_expired"    CLIENT, NEW_TOKEN,      "The token was good once.";
    104 UserUnavailable "user_unavailable" CLIENT, GIVE_UP,        "The user is disabled.";
    200 Kicked          "kicked"           APPLICATION, None,      "The application ended the connection.";
    201 Replaced        "replaced"         APPLICATION, GIVE_UP,   "The same device logged in again.";
    202 KickLoop        "kick_loop"        APPLICATION, RECONNECT, "Two connections of one device replace each other.";
    300 SlowConsumer    "slow_consumer"    CLIENT, RECONNECT,      "The client does not take what it is sent.";
    400 ShuttingDown    "shutting_down"    SERVER, RECONNECT,      "The gateway stops.";
    401 Overloaded      "overloaded"       SERVER, RECONNECT,      "The gateway is at a limit.";
    402 Rebalance       "rebalance"        SERVER, RECONNECT,      "Another gateway has more room.";
    403 NotAvailable    "not_available"    SERVER, RECONNECT,      "Something behind the gateway does not answer.";
    404 NoSuchTarget    "no_such_target"   CLIENT, None,           "The user or topic addressed does not exist.";
    405 TooManyTopics   "too_many_topics"  CLIENT, None,           "The connection has joined as many topics as it may.";
    406 NotAllowed      "not_allowed"      CLIENT, None,           "The app does not let its clients do this.";
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A frame that breaks a rule: the code that a CLOSE gives, and which rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {text}")]
pub struct WireError {
    /// The reason to close with.
    pub code: Code,
    /// Which rule, for people.
    pub text: &'static str,
}

impl WireError {
    /// A broken rule, and the code that says so.
    pub const fn new(code: Code, text: &'static str) -> Self {
        Self { code, text }
    }

    pub(crate) const fn malformed(text: &'static str) -> Self {
        Self::new(Code::Malformed, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page is the authority: each of its rows is here, and nothing else.
    #[test]
    fn the_table_is_the_pages_table() {
        let page = include_str!("../../WIRE.md");
        let section = page.split("## 4. Codes").nth(1).expect("section 4");
        let cell = |text: Option<&'static str>| text.unwrap_or_default().to_owned();
        let of_page: Vec<[String; 4]> = section
            .lines()
            .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
            .map(|line| {
                let cells: Vec<String> = line.split('|').map(|cell| cell.trim().into()).collect();
                [cells[1].clone(), cells[2].clone(), cells[3].clone(), cells[4].clone()]
            })
            .collect();
        let of_code: Vec<[String; 4]> = Code::ALL
            .iter()
            .map(|code| {
                let fault = code.fault().map(|fault| match fault {
                    Fault::Client => "client",
                    Fault::Application => "application",
                    Fault::Server => "server",
                });
                let advice = code.advice().map(|advice| match advice {
                    Advice::Reconnect => "0",
                    Advice::NewToken => "1",
                    Advice::GiveUp => "2",
                });
                let advice = if *code == Code::Kicked { Some("as given") } else { advice };
                [code.number().to_string(), code.name().to_owned(), cell(fault), cell(advice)]
            })
            .collect();
        assert_eq!(of_page, of_code);
    }

    #[test]
    fn numbers_come_back() {
        for number in 0..=u16::MAX {
            assert!(Code::from_number(number).is_none_or(|code| code.number() == number));
        }
        assert!(Code::ALL.iter().all(|code| Code::from_number(code.number()) == Some(*code)));
        assert_eq!(Advice::from_number(200), Advice::GiveUp);
    }
}
