//! A terminal for the real binary: its final screen, and every byte that was written to it.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

/// A program whose standard output and standard error are one terminal. Dropping it kills it.
pub struct OnTerminal {
    child: Child,
    terminal: File,
}

/// The output of a program on its terminal.
pub struct Seen {
    /// All bytes, as text.
    pub written: String,
    /// The lines of the final screen, of any length. The last line is the line of the cursor.
    pub screen: Vec<String>,
    /// The exit code.
    pub code: Option<i32>,
}

impl OnTerminal {
    /// Starts a program.
    pub fn start(mut command: Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there is a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("the terminal can be used");
        let name = ptsname(&terminal, Vec::new()).expect("the terminal has a name");
        let name = name.into_string().expect("the name is text");
        let other = OpenOptions::new().read(true).write(true).open(name).expect("the terminal can be opened");
        command.stdout(Stdio::from(other.try_clone().expect("a file can be shared"))).stderr(Stdio::from(other));
        let child = command.spawn().expect("the program can be started");
        Self { child, terminal: File::from(terminal) }
    }

    /// Waits for the end of the program.
    pub fn finish(mut self) -> Seen {
        let mut written = Vec::new();
        let mut buffer = [0; 4096];
        // On Linux, reading from a terminal that no program has open any more fails.
        while let Ok(count @ 1..) = self.terminal.read(&mut buffer) {
            written.extend_from_slice(&buffer[..count]);
        }
        let code = self.child.wait().expect("a child can be waited for").code();
        let written = String::from_utf8_lossy(&written).into_owned();
        Seen { screen: screen(&written), written, code }
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // An error means that the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The screen of a terminal without a right edge. Of the control sequences, the function knows those that clear the
/// rest of a line; others change nothing.
fn screen(written: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let mut column = 0;
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        let line = lines.last_mut().expect("there is always a line");
        match c {
            '\r' => column = 0,
            '\n' => lines.push(Vec::new()),
            '\u{1b}' => {
                let end = chars.by_ref().skip_while(|c| *c == '[').find(char::is_ascii_alphabetic);
                if end == Some('K') {
                    line.truncate(column);
                }
            }
            c => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect()).collect()
}
