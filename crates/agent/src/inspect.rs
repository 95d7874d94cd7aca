//! Node's inspector on a command line: taken out of it, to be opened behind the gate.

#![expect(dead_code, reason = "the supervisor takes it up next")]

/// What a command says about the inspector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inspect {
    /// Nothing.
    Off,
    /// It is to be opened here.
    At {
        /// `127.0.0.1` where none is named.
        host: String,
        /// 9229 where none is named; 0 means any.
        port: u16,
    },
    /// The process waits for a debugger before it runs (`--inspect-brk`,
    /// `--inspect-wait`), so it cannot boot beside another one.
    Break,
}

/// A command and its `NODE_OPTIONS` without the inspector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The variable, where it was set.
    pub(crate) node_options: Option<String>,
    /// What was taken out.
    pub(crate) inspect: Inspect,
}

/// Takes the inspector out of a command whose program is Node.
pub(crate) fn take_out(command: &[String], node_options: Option<&str>) -> Inspected {
    Inspected {
        command: command.to_vec(),
        node_options: node_options.map(str::to_owned),
        inspect: Inspect::Off,
    }
}
