//! What the configuration's `credentials` come to: units, credentials and the delivered files that they are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{config::Config, systemd::credentials::Granted};

/// As it stands now. `is_ready`: the first delivery is over.
pub(super) fn granted(config: &Config, is_ready: bool) -> Granted {
    let mut files: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    if !config.credentials.is_empty() {
        let secrets = config
            .secrets
            .iter()
            .map(|entry| (entry.name.as_str(), entry.location.as_str()));
        let templates = config
            .templates
            .iter()
            .map(|entry| (entry.name.as_str(), entry.location.as_str()));
        let locations: HashMap<&str, &str> = secrets.chain(templates).collect();
        for grant in &config.credentials {
            // By rules the name is the path.
            let location = locations.get(grant.secret.as_str()).copied();
            let location = location.unwrap_or(&grant.secret);
            files.entry(grant.unit.clone()).or_default().insert(
                grant.credential.clone(),
                config.runtime_directory.join(location),
            );
        }
    }
    Granted {
        is_ready,
        files: Arc::new(files),
    }
}
