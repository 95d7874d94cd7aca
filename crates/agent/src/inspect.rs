//! Node's inspector on a command line: taken out of it, to be opened behind the gate.
//!
//! Two processes cannot listen for a debugger on one port. So a new process is started
//! without its `--inspect`, and its preload opens the inspector when the old process
//! is gone. Words are read as Node reads them: up to the script, names with `_` or
//! `-`, the variable before the command line. What Node itself would refuse stays as
//! it is, so that Node says why.

mod options;
mod words;

/// Node's own defaults.
const HOST: &str = "127.0.0.1";
const PORT: u16 = 9229;

/// What a command says about the inspector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inspect {
    /// Nothing.
    Off,
    /// It is to be opened here.
    At {
        /// `127.0.0.1` where none is named; an IPv6 address stands without brackets.
        host: String,
        /// 9229 where none is named; 0 means any.
        port: u16,
    },
    /// The process waits for a debugger before it runs (`--inspect-brk`,
    /// `--inspect-wait`), so it cannot boot beside another one.
    Break,
}

/// A command and its `NODE_OPTIONS` without the inspector, where it is to be opened
/// later; else as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The variable; `None` where it is not set or nothing is left of it.
    pub(crate) node_options: Option<String>,
    /// What was taken out.
    pub(crate) inspect: Inspect,
}

/// Takes the inspector out of a command whose program is Node.
pub(crate) fn take_out(command: &[String], node_options: Option<&str>) -> Inspected {
    let untouched = |inspect| Inspected {
        command: command.to_vec(),
        node_options: node_options.map(str::to_owned),
        inspect,
    };
    let mut found = Found::default();
    let Some(words) = words::split(node_options.unwrap_or_default()) else {
        return untouched(Inspect::Off);
    };
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let of_variable = found.read(&texts);
    let arguments: Vec<&str> = command.iter().skip(1).map(String::as_str).collect();
    let of_command = found.read(&arguments);
    if found.waits {
        return untouched(Inspect::Break);
    }
    if !found.on || found.refused {
        return untouched(Inspect::Off);
    }
    let rest = words.iter().zip(of_variable);
    let rest: Vec<&str> = rest.filter(|(_, own)| !own).map(|(it, _)| it.raw).collect();
    let arguments = arguments.iter().zip(of_command);
    let arguments = arguments.filter(|(_, own)| !own).map(|(it, _)| *it);
    let program = command.iter().take(1).map(String::as_str);
    Inspected {
        command: program.chain(arguments).map(str::to_owned).collect(),
        node_options: (!rest.is_empty()).then(|| rest.join(" ")),
        inspect: Inspect::At {
            host: found.host,
            port: found.port,
        },
    }
}

/// What was read so far.
struct Found {
    on: bool,
    waits: bool,
    /// Whether Node will refuse to start for it.
    refused: bool,
    host: String,
    port: u16,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            on: false,
            waits: false,
            refused: false,
            host: HOST.to_owned(),
            port: PORT,
        }
    }
}

impl Found {
    /// Reads Node's own words, and says for each whether it belongs to the inspector.
    fn read(&mut self, words: &[&str]) -> Vec<bool> {
        let mut own = vec![false; words.len()];
        let mut rest = own.iter_mut().zip(words).peekable();
        while let Some((own, word)) = rest.next_if(|(_, word)| is_option(word)) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if word.starts_with("--") => (name, Some(value)),
                _ => (*word, None),
            };
            match (name.replace('_', "-").as_str(), value) {
                ("--inspect", value) => {
                    *own = true;
                    self.on = true;
                    self.place(value);
                }
                ("--no-inspect", None) => {
                    *own = true;
                    self.on = false;
                }
                ("--inspect-port" | "--debug-port", Some(value)) => {
                    *own = true;
                    self.place(Some(value));
                }
                ("--inspect-port" | "--debug-port", None) => {
                    *own = true;
                    match rest.next_if(|(_, word)| !word.starts_with('-')) {
                        Some((own, value)) => {
                            *own = true;
                            self.place(Some(value));
                        }
                        None => self.refused = true,
                    }
                }
                ("--inspect-brk" | "--inspect-wait" | "--inspect-brk-node", _) => {
                    self.waits = true;
                }
                // It ends the options, as `--` does.
                ("--prof-process", _) => break,
                (name, None) if options::takes_value(name) => {
                    rest.next_if(|(_, word)| !word.starts_with('-'));
                }
                _ => {}
            }
        }
        own
    }

    /// Takes over `PORT`, `HOST` or `HOST:PORT`.
    fn place(&mut self, value: Option<&str>) {
        match value.map(place) {
            None => {}
            Some(Some((host, port))) => {
                if !host.is_empty() {
                    host.clone_into(&mut self.host);
                }
                self.port = port;
            }
            Some(None) => self.refused = true,
        }
    }
}

/// Whether a word is read as an option; the first that is not ends them.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word != "--"
}

/// The host, where one is named, and the port; `None` for what Node refuses.
fn place(value: &str) -> Option<(&str, u16)> {
    if let Some(host) = without_brackets(value) {
        return Some((host, PORT));
    }
    match value.rsplit_once(':') {
        Some((host, port)) => Some((without_brackets(host).unwrap_or(host), number(port)?)),
        None if value.bytes().all(|byte| byte.is_ascii_digit()) => Some(("", number(value)?)),
        None => Some((value, PORT)),
    }
}

fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// Any port, or one that needs no right.
fn number(port: &str) -> Option<u16> {
    port.parse().ok().filter(|port| *port == 0 || *port >= 1024)
}

#[cfg(test)]
mod tests;
