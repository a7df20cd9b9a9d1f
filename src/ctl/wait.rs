//! `secretsctl wait`: return when secrets are delivered.

use super::Context;
use crate::{
    control::{
        client::Client,
        protocol::{Degraded, WaitFor, Waited},
    },
    error::{Error, Result},
    escape,
    output::{Outcome, Output},
};

/// Wait until secrets are delivered; exit code 1 on a time-out, or when one is degraded
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Names of secrets [default: all that there are]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Give up after this many seconds [default: never]
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &mut Context) -> Result<Outcome> {
    let wanted = WaitFor {
        names: args.names.clone(),
        timeout: args.timeout,
    };
    let output = &mut context.output;
    let mut client = Client::connect(&context.global.socket())?;
    let waited: Waited = client.follow("Wait", wanted, |progress: Waited| {
        output.note(&Error::new(
            "waiting",
            format!("waiting for {}", progress.waiting.join(", ")),
        ));
    })?;
    if output.is_json() {
        output.json(&waited)?;
    } else {
        for name in &waited.waiting {
            let name = match name.as_str() {
                "*" => "the first delivery",
                name => name,
            };
            output.line(&format!("  timed out {}", escape::text(name)))?;
        }
        show_degraded(&waited.degraded, output)?;
    }
    Ok(Outcome::findings_if(
        !waited.waiting.is_empty() || !waited.degraded.is_empty(),
    ))
}

/// One line for each degraded secret.
pub(super) fn show_degraded(degraded: &[Degraded], output: &mut Output) -> Result<()> {
    for secret in degraded {
        output.line(&format!(
            "  degraded  {}: {}",
            escape::text(&secret.name),
            escape::text(&secret.cause)
        ))?;
    }
    Ok(())
}

/// Seconds, also with a fraction, as milliseconds.
fn seconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.0..=1e9).contains(&seconds) {
        return Err("not between 0 and 1000000000 seconds".to_owned());
    }
    Ok((seconds * 1000.0).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        assert_eq!(seconds("0"), Ok(0));
        assert_eq!(seconds("1.5"), Ok(1500));
        assert_eq!(seconds("10s"), Ok(10_000));
        for wrong in ["-1", "NaN", "inf", "1e300", "", "1m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
