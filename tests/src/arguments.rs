//! The arguments of the benchmark programs: options with a value each, and which measurements are made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The variable that an option sets.
pub enum Place<'a> {
    /// The value is a whole number.
    Number(&'a mut u64),
    /// The value is any text.
    Text(&'a mut Option<String>),
}

/// Reads the arguments of this program: pairs of an option and its value. Options that are not given keep their values.
///
/// # Errors
/// Returns an error that describes the first wrong argument.
pub fn read(places: Vec<(&str, Place<'_>)>) -> Result<(), String> {
    read_from(std::env::args().skip(1), places)
}

fn read_from(mut args: impl Iterator<Item = String>, mut places: Vec<(&str, Place<'_>)>) -> Result<(), String> {
    while let Some(name) = args.next() {
        let Some((_, place)) = places.iter_mut().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = places.iter().map(|(known, _)| *known).collect();
            return Err(format!("unknown option {name}; the options are {}", known.join(", ")));
        };
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        match place {
            Place::Number(number) => {
                **number = value.parse().map_err(|_| format!("{name} {value}: not a whole number"))?;
            }
            Place::Text(text) => **text = Some(value),
        }
    }
    Ok(())
}

/// Measures something in a directory, with options, and prints it.
pub type Measure<O> = fn(&Path, &O) -> Result<(), String>;

/// Makes each measurement in a new directory that `directory` names, or only the one with the name `only`.
///
/// # Errors
/// Returns an error if no measurement has the name, or the first error of a measurement.
pub fn measure<O>(
    measurements: &[(&str, Measure<O>)],
    only: Option<&str>,
    directory: impl Fn() -> Result<PathBuf, String>,
    options: &O,
) -> Result<(), String> {
    if let Some(only) = only.filter(|only| measurements.iter().all(|(name, _)| name != only)) {
        let known: Vec<&str> = measurements.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no measurement {only}; the measurements are {}", known.join(", ")));
    }
    for (name, measure) in measurements.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        println!("---- {name}");
        let directory = directory()?;
        let outcome = measure(&directory, options);
        // What cannot be removed has no effect on the next run, which has another name.
        let _ = fs::remove_dir_all(&directory);
        outcome?;
    }
    Ok(())
}

/// Ends a program: prints the error, if there is one.
pub fn end(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<(u64, Option<String>), String> {
        let (mut rounds, mut program) = (3, None);
        let places = vec![("--rounds", Place::Number(&mut rounds)), ("--program", Place::Text(&mut program))];
        read_from(args.iter().map(|arg| (*arg).to_owned()), places)?;
        Ok((rounds, program))
    }

    #[test]
    fn options_have_values() {
        assert_eq!(read(&[]), Ok((3, None)));
        assert_eq!(read(&["--program", "sums", "--rounds", "5"]), Ok((5, Some("sums".to_owned()))));
        assert_eq!(read(&["--rounds"]), Err("--rounds needs a value".to_owned()));
        assert_eq!(read(&["--rounds", "x"]), Err("--rounds x: not a whole number".to_owned()));
        let unknown = "unknown option --round; the options are --rounds, --program";
        assert_eq!(read(&["--round", "1"]), Err(unknown.to_owned()));
    }
}
