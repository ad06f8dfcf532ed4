//! One line at the bottom of the terminal that is written again and again.
//!
//! Owns the line. All other text for the terminal goes through this module, so that the text is above the line and
//! never in the line. Until the line is first set, this module only passes the text on.

use crate::env::{Console, WritePieces};
use crate::lock::lock;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard};

/// Moves the cursor to the start of the line and clears the line.
const CLEAR: &str = "\r\u{1b}[K";
/// Makes the terminal cut off a line that is too long. A line that wraps could not be cleared.
const NO_WRAP: &str = "\u{1b}[?7l";
const WRAP: &str = "\u{1b}[?7h";

/// Whether standard error is a terminal on which a person sees a line that is written again and again.
pub fn is_shown_to_a_person() -> bool {
    let is_plain = std::env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
    std::io::stderr().is_terminal() && !is_plain
}

struct State {
    out: Box<dyn Write + Send>,
    /// The text of the line; `None` if the line is not shown.
    shown: Option<String>,
}

/// The line. Clones are the same line.
#[derive(Clone)]
pub struct StatusLine(Arc<Mutex<State>>);

impl StatusLine {
    /// A line on this terminal.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(State { out, shown: None })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// Shows this text, of one line and without control characters.
    pub fn set(&self, text: &str) {
        let mut state = self.lock();
        state.shown = Some(text.to_owned());
        state.show();
    }

    /// Removes the line.
    pub fn clear(&self) {
        let mut state = self.lock();
        if state.shown.take().is_some() {
            state.write(CLEAR);
        }
    }

    /// Lets `write` write whole lines of other text to the same terminal.
    fn around<T>(&self, write: impl FnOnce(&mut dyn Write) -> T) -> T {
        let mut state = self.lock();
        if state.shown.is_some() {
            state.write(CLEAR);
        }
        let outcome = write(&mut state.out);
        state.show();
        outcome
    }
}

impl State {
    fn show(&mut self) {
        if let Some(text) = &self.shown {
            let line = format!("{CLEAR}{NO_WRAP}{text}{WRAP}");
            self.write(&line);
        }
    }

    fn write(&mut self, text: &str) {
        // An error means that the terminal is gone, and the line with it.
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Writes log lines above the line.
pub struct LogWriter(pub StatusLine);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.around(|out| out.write_all(bytes).map(|()| bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().out.flush()
    }
}

/// A console whose text stands above the line.
pub struct ConsoleAbove {
    /// The line.
    pub line: StatusLine,
    /// The console.
    pub console: Arc<dyn Console>,
}

impl Console for ConsoleAbove {
    fn write(&self, text: &str) -> io::Result<()> {
        if !self.console.is_terminal() {
            return self.console.write(text);
        }
        self.line.around(|_| self.console.write(text))
    }

    fn write_pieces(&self, write: &mut WritePieces<'_>) -> io::Result<()> {
        if !self.console.is_terminal() {
            return self.console.write_pieces(write);
        }
        self.line.around(|_| self.console.write_pieces(write))
    }

    fn is_terminal(&self) -> bool {
        self.console.is_terminal()
    }

    fn takes_json(&self) -> bool {
        self.console.takes_json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A terminal as far as the line needs one: what is above the cursor's line, and what is on it.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<(Vec<String>, String)>>);

    impl Screen {
        fn lines(&self) -> (Vec<String>, String) {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut screen = self.0.lock().unwrap();
            let text = str::from_utf8(bytes).unwrap().replace(NO_WRAP, "").replace(WRAP, "");
            for part in text.split_inclusive(['\n', 'K']) {
                if part.ends_with(CLEAR) {
                    screen.1.clear();
                } else if let Some(end) = part.strip_suffix('\n') {
                    let line = std::mem::take(&mut screen.1) + end;
                    screen.0.push(line);
                } else {
                    screen.1.push_str(part);
                }
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Console for Screen {
        fn write(&self, text: &str) -> io::Result<()> {
            self.clone().write_all(text.as_bytes())
        }

        fn is_terminal(&self) -> bool {
            true
        }
    }

    #[test]
    fn without_a_line_everything_passes_as_it_is() {
        let screen = Screen::default();
        let line = StatusLine::new(Box::new(screen.clone()));
        LogWriter(line.clone()).write_all(b"log\n").unwrap();
        line.clear();
        assert_eq!(screen.lines(), (vec!["log".to_owned()], String::new()));
    }

    proptest! {
        /// Whatever is written in whatever order: the line is the last text on the screen, once, and all other text is
        /// above the line, whole and in order.
        #[test]
        fn nothing_is_garbled(steps in prop::collection::vec((0u8..4, "[a-z]{0,9}"), 0..40)) {
            let screen = Screen::default();
            let line = StatusLine::new(Box::new(screen.clone()));
            let console = ConsoleAbove { line: line.clone(), console: Arc::new(screen.clone()) };
            let (mut above, mut shown) = (Vec::new(), String::new());
            for (what, text) in steps {
                match what {
                    0 => {
                        line.set(&text);
                        shown = text;
                    }
                    1 => {
                        line.clear();
                        shown.clear();
                    }
                    2 => {
                        LogWriter(line.clone()).write_all(format!("{text}\n").as_bytes()).unwrap();
                        above.push(text);
                    }
                    _ => {
                        Console::write(&console, &format!("{text}\n{text}\n")).unwrap();
                        above.extend([text.clone(), text]);
                    }
                }
                prop_assert_eq!(screen.lines(), (above.clone(), shown.clone()));
            }
        }
    }
}
