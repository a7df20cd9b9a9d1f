//! Identities behind a passphrase. They are opened when nothing cheaper opens a file, and asked for once.

use std::sync::{Mutex, OnceLock, PoisonError};

use age::{scrypt, secrecy::SecretString};
use age_core::format::Stanza;
use ssh_key::PrivateKey;
use std::io::Read as _;

use super::{
    Identity, Key,
    person::{self, Answer, Person},
    ssh::{self, SshPublic},
    text::{self, Content},
};
use crate::{
    error::{Error, Result},
    secret::Secret,
};

/// Passphrases that may be tried in one go.
const TRIES: usize = 3;
/// As Go's age: 2^22 takes half a minute and 4 GiB; what asks for more is an attack.
const WORK_FACTOR_LIMIT: u8 = 22;
/// Bytes of the identities in a protected file.
const CONTENT_LIMIT: u64 = 16 << 20;

/// A protected key file.
pub(super) struct Sealed {
    what: What,
    opened: OnceLock<Vec<Identity>>,
    /// Set when asking failed, so that the next file does not ask again. Held while asking.
    refused: Mutex<Option<Error>>,
}

enum What {
    AgeFile(Secret),
    SshKey(Box<PrivateKey>, SshPublic),
}

impl Sealed {
    pub(super) fn age_file(content: Secret) -> Self {
        Self::new(What::AgeFile(content))
    }

    pub(super) fn ssh_key(key: Box<PrivateKey>, public: SshPublic) -> Self {
        Self::new(What::SshKey(key, public))
    }

    fn new(what: What) -> Self {
        Self {
            what,
            opened: OnceLock::new(),
            refused: Mutex::new(None),
        }
    }

    /// What is inside, if it was opened.
    pub(super) fn opened(&self) -> Option<&[Identity]> {
        self.opened.get().map(Vec::as_slice)
    }

    /// Whether it can be told without the passphrase that none of these stanzas is for it.
    pub(super) fn cannot_match(&self, stanzas: &[Stanza], recipient: &str) -> bool {
        match &self.what {
            What::AgeFile(_) => false,
            What::SshKey(_, public) => {
                !stanzas.iter().any(|stanza| public.matches(stanza))
                    && !public.recipients.iter().any(|ours| ours == recipient)
            }
        }
    }

    /// Forgets that asking failed.
    pub(super) fn forget_refusal(&self) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is inside, asking for the passphrase where it is not open yet.
    pub(super) fn open(&self, name: &str, person: &dyn Person) -> Result<&[Identity]> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identities) = self.opened.get() {
            return Ok(identities);
        }
        if let Some(error) = refused.as_ref() {
            return Err(error.clone());
        }
        match self.ask(name, person) {
            Ok(identities) => Ok(self.opened.get_or_init(|| identities)),
            Err(error) => {
                *refused = Some(error.clone());
                Err(error)
            }
        }
    }

    fn ask(&self, name: &str, person: &dyn Person) -> Result<Vec<Identity>> {
        for _ in 0..TRIES {
            let passphrase = match person.ask_secret(&format!("Enter passphrase for {name}:")) {
                Answer::Given(passphrase) => passphrase,
                Answer::Declined => {
                    return Err(person::locked(name, "no passphrase was given"));
                }
                Answer::Interrupted => return Err(person::interrupted()),
                Answer::Nobody => {
                    return Err(person::locked(
                        name,
                        "it needs a passphrase, and there is no terminal to ask on",
                    )
                    .with_hint(person.otherwise()));
                }
            };
            let identities = match &self.what {
                What::AgeFile(content) => open_age_file(name, content, &passphrase)?,
                What::SshKey(key, public) => ssh::unseal(key, &passphrase)?.map(|key| {
                    vec![Identity::new(
                        name,
                        public.kind,
                        public.recipients.clone(),
                        Key::Ssh(Box::new(key)),
                    )]
                }),
            };
            match identities {
                Some(identities) => return Ok(identities),
                None => person.tell("wrong passphrase"),
            }
        }
        Err(person::locked(name, "the passphrases given were wrong"))
    }
}

/// The identities in an age file that a passphrase protects; `None` when the passphrase is wrong.
fn open_age_file(
    name: &str,
    content: &Secret,
    passphrase: &Secret,
) -> Result<Option<Vec<Identity>>> {
    use age::DecryptError as E;
    let invalid = |what: &str| {
        Error::new(
            "invalid-identity",
            format!("cannot open the identity file: {what}"),
        )
    };
    let Some(passphrase) = passphrase.expose_str() else {
        return Ok(None);
    };
    let content = content.expose();
    let armored = age::armor::ArmoredReader::new(content.trim_ascii_end());
    let decryptor = if content.starts_with(b"-----BEGIN AGE") {
        age::Decryptor::new_buffered(armored)
    } else {
        // The armor reader passes on what is not armored; only white space at its end must not be cut off.
        age::Decryptor::new_buffered(age::armor::ArmoredReader::new(content))
    }
    .map_err(|_| invalid("it is damaged"))?;
    if !decryptor.is_scrypt() {
        return Err(invalid("it is encrypted to keys, not with a passphrase"));
    }
    let mut key = scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    key.set_max_work_factor(WORK_FACTOR_LIMIT);
    let reader = match decryptor.decrypt(std::iter::once(&key as &dyn age::Identity)) {
        Ok(reader) => reader,
        Err(E::KeyDecryptionFailed | E::NoMatchingKeys | E::DecryptionFailed) => return Ok(None),
        Err(E::ExcessiveWork { .. }) => {
            return Err(invalid("its passphrase would take too long to check"));
        }
        Err(_) => return Err(invalid("it is damaged")),
    };
    let mut bytes = Secret::default();
    let mut chunk = zeroize::Zeroizing::new([0_u8; 4096]);
    let mut reader = reader.take(CONTENT_LIMIT);
    loop {
        match reader.read(chunk.as_mut_slice()) {
            Ok(0) => break,
            Ok(read) => bytes.push(chunk.get(..read).unwrap_or_default()),
            Err(_) => return Err(invalid("it is damaged")),
        }
    }
    text::lines(name, &bytes, Content::Lines).map(Some)
}
