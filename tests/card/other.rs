//! Another program that uses the card.

use std::io::Write as _;

/// The variable that says how: `shared` or `exclusive`.
pub(super) const HOW: &str = "SECRETSD_TEST_HOLD";
/// What it says when it has the card.
pub(super) const HOLDS: &str = "the card is held";

/// Holds the card until it is killed.
#[test]
#[ignore = "it is started by the tests that need another program"]
fn program() {
    let Ok(how) = std::env::var(HOW) else { return };
    let mode = match how.as_str() {
        "exclusive" => pcsc::ShareMode::Exclusive,
        _ => pcsc::ShareMode::Shared,
    };
    let context = pcsc::Context::establish(pcsc::Scope::User).unwrap();
    let readers = context.list_readers_owned().unwrap();
    let _card = readers
        .iter()
        .find_map(|reader| context.connect(reader, mode, pcsc::Protocols::T1).ok())
        .unwrap();
    let mut output = std::io::stdout();
    writeln!(output, "\n{HOLDS}").unwrap();
    output.flush().unwrap();
    loop {
        std::thread::park();
    }
}
