//! Which lines the log has: the variable `MILLSTREAM_LOG`, or the default of the command.

use crate::error::{Error, ErrorKind};
use crate::shown::escape_control;
use tracing_subscriber::EnvFilter;

/// The name of the variable.
pub(super) const VARIABLE: &str = "MILLSTREAM_LOG";

/// The levels that a directive can name.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

fn is_level(name: &str) -> bool {
    LEVELS.iter().any(|level| name.eq_ignore_ascii_case(level))
}

/// Reads the value of the variable: directives with commas between them, each a level or `MODULE=LEVEL`. Without a value,
/// or with an empty one, the filter is `default`.
///
/// # Errors
/// If a directive is neither. The library would take a misspelt level for a module, and the log would be empty.
pub(super) fn filter(value: Option<&str>, default: &str) -> Result<EnvFilter, Error> {
    let value = value.unwrap_or_default();
    let wrong = |directive: &str, what: &str| {
        let message = format!("{VARIABLE} has the directive `{}`, {what}", escape_control(directive));
        let help = format!(
            "write one of {}, or a module and a level, as in `info,host::plugin=debug`",
            LEVELS.map(|level| format!("`{level}`")).join(", ")
        );
        Err(Error::new(ErrorKind::User, message).help(help))
    };
    let directives: Vec<&str> = value.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    for directive in &directives {
        match directive.rsplit_once('=') {
            None if !is_level(directive) => return wrong(directive, "which is no level"),
            Some((_, level)) if !is_level(level) => return wrong(directive, "whose level does not exist"),
            _ => {}
        }
    }
    let directives = if directives.is_empty() { default.to_owned() } else { directives.join(",") };
    EnvFilter::try_new(&directives).or_else(|error| wrong(&directives, &format!("which cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_does_not_exist_is_an_error() {
        let error = |value| filter(Some(value), "info").map(|filter| filter.to_string()).map_err(|error| error.message);
        assert_eq!(error("warning"), Err("MILLSTREAM_LOG has the directive `warning`, which is no level".to_owned()));
        let expected = "MILLSTREAM_LOG has the directive `host=loud`, whose level does not exist";
        assert_eq!(error("warn,host=loud"), Err(expected.to_owned()));
        assert_eq!(error("WARN"), Ok("warn".to_owned()));
        assert!(error("info, host::plugin=debug").is_ok());
    }

    #[test]
    fn without_a_value_the_default_of_the_command_counts() {
        let filter =
            |value| filter(value, "warn,host=off").map(|filter| filter.to_string()).map_err(|error| error.message);
        assert_eq!(filter(None), filter(Some("")));
        assert_eq!(filter(None).map(|text| text.contains("host=off")), Ok(true));
    }
}
