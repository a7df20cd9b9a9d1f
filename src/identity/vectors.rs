//! The published test vectors of age, <https://c2sp.org/CCTV/age>, on the kinds of keys that are implemented here.

use std::{io::Read as _, process::Command};

use age::{DecryptError, Decryptor, armor::ArmoredReader};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{hybrid, interop::peer};

#[derive(Deserialize)]
struct Vector {
    name: String,
    expect: String,
    payload: String,
    identities: Vec<String>,
    file: String,
}

fn hex(plain: &[u8]) -> String {
    let hash = Sha256::digest(plain);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What reading the file with these identities comes to, in the words of the vectors.
fn outcome(file: &[u8], identities: &[Box<dyn age::Identity>]) -> Result<Vec<u8>, &'static str> {
    let failure = |error: &DecryptError| match error {
        DecryptError::NoMatchingKeys => "no match",
        DecryptError::InvalidMac => "HMAC failure",
        _ => "header failure",
    };
    let decryptor =
        Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|error| failure(&error))?;
    let mut content = decryptor
        .decrypt(identities.iter().map(AsRef::as_ref))
        .map_err(|error| failure(&error))?;
    let mut plain = Vec::new();
    content
        .read_to_end(&mut plain)
        .map_err(|_| "payload failure")?;
    Ok(plain)
}

fn identity(text: &str) -> Box<dyn age::Identity> {
    match text.parse::<hybrid::Identity>() {
        Ok(identity) => Box::new(identity),
        Err(_) => Box::new(text.parse::<age::x25519::Identity>().unwrap()),
    }
}

#[test]
fn hybrid_keys_do_what_the_vectors_say() {
    let Some(program) = peer("vectors") else {
        return;
    };
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success());
    let all: Vec<Vector> = serde_json::from_slice(&output.stdout).unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for vector in all.iter().filter(|vector| vector.name.contains("hybrid")) {
        seen += 1;
        let file = BASE64_STANDARD.decode(&vector.file).unwrap();
        let identities: Vec<_> = vector
            .identities
            .iter()
            .map(|text| identity(text))
            .collect();
        let came = match outcome(&file, &identities) {
            Ok(plain) if hex(&plain) == vector.payload => "success",
            Ok(_) => "another text",
            Err(failure) => failure,
        };
        if came != vector.expect {
            wrong.push(format!("{}: {came}, not {}", vector.name, vector.expect));
        }
    }
    assert!(seen >= 19, "only {seen} vectors");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
