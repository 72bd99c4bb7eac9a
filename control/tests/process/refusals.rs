//! A start that must not be: the exit code says whose fault it is, standard error says why and what to do.

use crate::support::{Control, output};

/// Exit code and standard error of a start that is refused.
fn refused(arguments: &[&str], settings: &[(&str, &str)]) -> (i32, String) {
    let output = output(arguments, settings);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn development_beyond_loopback() {
    let (code, text) = refused(&["dev"], &[("WEB__LISTEN", "0.0.0.0:0")]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("web.listen is 0.0.0.0:0, beyond loopback"), "{text}");
    assert!(text.contains("set auth.mode to required, or listen on 127.0.0.1"), "{text}");
}

#[test]
fn no_keys() {
    let (code, text) = refused(&["run"], &[]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("set auth.api_keys"), "{text}");
}

#[test]
fn an_unknown_variable() {
    let (code, text) = refused(&["check-config"], &[("WEB__PORT", "7030")]);
    assert_eq!(code, 64, "{text}");
    assert!(text.contains("GPUSHER_CONTROL__WEB__PORT"), "{text}");
}

#[test]
fn a_folder_or_a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let running = Control::dev(folder.path());
    let (code, text) = refused(&["dev", "--data", folder.path().to_str().unwrap()], &[]);
    assert_eq!(code, 69, "{text}");
    assert!(text.contains(" is in use by process "), "{text}");

    let other = tempfile::tempdir().unwrap();
    let taken = running.address("HTTP API").to_string();
    let (code, text) =
        refused(&["dev", "--data", other.path().to_str().unwrap()], &[("WEB__LISTEN", &taken)]);
    assert_eq!(code, 69, "{text}");
    assert!(text.contains(&format!("cannot listen on {taken}")), "{text}");
}
