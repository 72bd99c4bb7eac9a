//! Small things done by hand.

use super::TokenArguments;
use gpusher_control::auth::{Secret, Tokens, password};
use gpusher_control::error::{Code, Error, Result};
use std::io::Read;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Reads a password and prints its hash. A newline at the end is not part of it.
pub(super) fn hash_password() -> Result<ExitCode> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Error::new(Code::Invalid, format!("cannot read the password: {error}")))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let text =
            "no password on standard input: `printf %s PASSWORD | gpusher-control hash-password`";
        return Err(Error::new(Code::Invalid, text));
    }
    println!("{}", password::hash(password)?);
    Ok(ExitCode::SUCCESS)
}

/// Prints a token signed with the configured secret, or the one generated in the data directory.
pub(super) fn token(arguments: &TokenArguments) -> Result<ExitCode> {
    let config = arguments.file.read()?;
    let secret = match config.auth.token_secret {
        Some(secret) => secret,
        None => {
            let data = arguments.data.as_ref().unwrap_or(&config.data_dir);
            Secret::read("the token secret", &data.join("token.secret"))?
        }
    };
    let tokens = Tokens::new(secret.reveal().as_bytes(), config.auth.token_lifetime);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    println!("{}", tokens.issue(&arguments.uuid, arguments.app, since.as_secs())?);
    Ok(ExitCode::SUCCESS)
}
