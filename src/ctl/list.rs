//! `secretsctl list`: what is delivered.

use std::time::SystemTime;

use super::Context;
use crate::{
    control::{
        client::Client,
        protocol::{Listed, Listing, SecretState},
    },
    error::Result,
    escape,
    output::{Outcome, Style},
};

/// List the secrets: name, path, state, age of the state, source file
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_: &Args, context: &mut Context) -> Result<Outcome> {
    let listing: Listing = Client::connect(&context.global.socket())?.call("List", ())?;
    let output = &mut context.output;
    if output.is_json() {
        output.json(&listing.secrets)?;
        return Ok(Outcome::Fine);
    }
    let now = SystemTime::now();
    let rows: Vec<[String; 5]> = listing
        .secrets
        .iter()
        .map(|secret| row(secret, now))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    for (secret, [name, path, state, age, file]) in listing.secrets.iter().zip(&rows) {
        let [name_width, path_width, state_width, age_width] = widths;
        let style = match secret.state {
            SecretState::Degraded => Style::Yellow,
            SecretState::Delivered => Style::Green,
            SecretState::Missing => Style::Red,
        };
        // Padded before it is coloured: colours have no width.
        let state = output.styled(style, &format!("{state:state_width$}"));
        output.line(&format!(
            "{name:name_width$}  {path:path_width$}  {state}  {age:>age_width$}  {file}"
        ))?;
    }
    Ok(Outcome::Fine)
}

fn row(secret: &Listed, now: SystemTime) -> [String; 5] {
    [
        escape::text(&secret.name).into_owned(),
        escape::text(&secret.path.to_string()).into_owned(),
        secret.state.name().to_owned(),
        age(secret.since, now),
        escape::text(&secret.file).into_owned(),
    ]
}

/// How long ago `since` was, in its largest unit.
fn age(since: SystemTime, now: SystemTime) -> String {
    // The clock may have been set back.
    let Ok(elapsed) = now.duration_since(since) else {
        return "-".to_owned();
    };
    let seconds = elapsed.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}min", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ages() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1min"),
            (3599, "59min"),
            (3600, "1h"),
            (86_400, "1d"),
            (900_000, "10d"),
        ] {
            assert_eq!(age(now - Duration::from_secs(seconds), now), text);
        }
        assert_eq!(age(now + Duration::from_secs(1), now), "-");
    }
}
