//! Manual pages, made from the definition of a command line.

use std::io;

use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::error::{Error, Result};

/// The page of `command` for `section` of the manual; `see_also` are other pages with their sections.
pub(crate) fn page(
    command: clap::Command,
    section: &str,
    see_also: &[(&str, &str)],
) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    render(command, section, see_also, &mut page).map_err(|error| {
        Error::new(
            "internal",
            format!("cannot render the manual page: {error}"),
        )
    })?;
    Ok(page)
}

fn render(
    command: clap::Command,
    section: &str,
    see_also: &[(&str, &str)],
    page: &mut Vec<u8>,
) -> io::Result<()> {
    let has_commands = command.has_subcommands();
    let exit_codes = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command)
        .section(section)
        .source("secretsd")
        .manual("secretsd");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if has_commands {
        man.render_subcommands_section(page)?;
    }
    let mut end = Roff::new();
    if let Some(exit_codes) = exit_codes {
        end.control("SH", ["EXIT STATUS"]).text([roman(exit_codes)]);
    }
    end.control("SH", ["SEE ALSO"]);
    for (at, (name, section)) in see_also.iter().enumerate() {
        let comma = if at + 1 < see_also.len() { "," } else { "" };
        end.text([bold(*name), roman(format!("({section}){comma}"))]);
    }
    end.to_writer(page)
}
