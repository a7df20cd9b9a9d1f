//! `secretsctl list`: what is delivered.

use std::time::SystemTime;

use super::Context;
use crate::{
    clock,
    control::{
        client::Client,
        protocol::{Listed, Listing},
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
    for [name, path, state, age, file] in &rows {
        let [name_width, path_width, state_width, age_width] = widths;
        // Padded before it is coloured: colours have no width.
        let state = format!("{state:state_width$}");
        let state = match state.trim_end() {
            "delivered" => output.styled(Style::Green, &state),
            "missing" => output.styled(Style::Red, &state),
            _ => output.styled(Style::Yellow, &state),
        };
        output.line(&format!(
            "{name:name_width$}  {path:path_width$}  {state}  {age:>age_width$}  {file}"
        ))?;
    }
    Ok(Outcome::Fine)
}

fn row(secret: &Listed, now: SystemTime) -> [String; 5] {
    [
        escape::text(&secret.name).into_owned(),
        escape::text(&secret.path).into_owned(),
        escape::text(&secret.state).into_owned(),
        age(&secret.since, now),
        escape::text(&secret.file).into_owned(),
    ]
}

/// How long ago `since` was, in its largest unit.
fn age(since: &str, now: SystemTime) -> String {
    let elapsed = clock::parse(since).and_then(|since| now.duration_since(since).ok());
    let Some(seconds) = elapsed.map(|elapsed| elapsed.as_secs()) else {
        return "-".to_owned();
    };
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
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000);
        assert_eq!(age("1970-01-02T03:46:40Z", now), "0s");
        assert_eq!(age("1970-01-02T03:46:39Z", now), "1s");
        assert_eq!(age("1970-01-02T03:45:00Z", now), "1min");
        assert_eq!(age("1970-01-01T03:46:40Z", now), "1d");
        // The clock was set back.
        assert_eq!(age("1970-01-03T00:00:00Z", now), "-");
        assert_eq!(age("nonsense", now), "-");
    }
}
