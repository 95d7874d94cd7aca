//! Which command prints what.

use serde_json::Value;

use super::forms::Forms;
use crate::commands::adopt::one::Step;
use crate::commands::adopt::show::Adoption;
use crate::commands::adopt::undo::Undoing;
use crate::commands::deploy::unpin;
use crate::commands::quiet::Quiet;
use crate::commands::turn::Turn;
use crate::commands::{
    builds, create, delete, dns, doctor, image, init, keys, list, logs, org, pack, restart, serve,
    set, start, status, trust, urls, validate, vpn, wait,
};
use crate::deploy::events::Event;
use crate::error::{Ended, Told};
use crate::views::screen::Warning;

/// The schema of one command.
pub(super) struct Published {
    /// Its words, as in `org list`.
    pub(super) command: &'static str,
    prints: Prints,
    forms: fn(&mut Forms) -> &mut Forms,
}

/// In what units a command prints.
enum Prints {
    /// One document.
    Document,
    /// One object a line.
    Lines,
}

impl Published {
    const fn document(command: &'static str, forms: fn(&mut Forms) -> &mut Forms) -> Self {
        Self {
            command,
            prints: Prints::Document,
            forms,
        }
    }

    const fn lines(command: &'static str, forms: fn(&mut Forms) -> &mut Forms) -> Self {
        Self {
            command,
            prints: Prints::Lines,
            forms,
        }
    }

    /// The schema.
    pub(super) fn schema(&self) -> Value {
        let mut forms = Forms::new();
        (self.forms)(&mut forms);
        let command = self.command;
        let printed = format!("`lockgate {command} --format json` prints");
        let (title, description) = match (command, &self.prints) {
            ("error", _) => (
                "lockgate, standard error".to_owned(),
                "One line of what any command writes to standard error with `--format json`."
                    .to_owned(),
            ),
            (_, Prints::Document) => (format!("lockgate {command}"), format!("What {printed}.")),
            (_, Prints::Lines) => (
                format!("lockgate {command}"),
                format!("One line of what {printed}."),
            ),
        };
        forms.into_schema(&title, &format!("{description} {LATER}"))
    }
}

/// What holds for all of them.
const LATER: &str = "Fields may be added.";

/// What a build's preparation tells.
const PREPARED: &[&str] = &[
    "building",
    "built",
    "warning",
    "validated",
    "secrets",
    "packed",
];

/// What a publication tells until the gateways run it.
const ROLLED_OUT: &[&str] = &[
    "pinned",
    "published",
    "renewed",
    "service",
    "gateway",
    "trial",
    "archive",
    "result",
];

/// What is told between deploys.
const WATCHED: &[&str] = &["news", "service-news"];

const WARNING: &[&str] = &["warning"];
const SCALED: &[&str] = &["scaled"];

/// A command that publishes something: it may wait for its turn, and fail.
fn publishing(forms: &mut Forms) -> &mut Forms {
    forms
        .events::<Turn>()
        .events_of::<Event>(ROLLED_OUT)
        .events::<Ended>()
}

/// A command that prepares a build and publishes it.
fn deploying(forms: &mut Forms) -> &mut Forms {
    publishing(forms.events_of::<Event>(PREPARED))
}

/// All that have one.
pub(super) const PUBLISHED: &[Published] = &[
    Published::lines("up", |it| deploying(it).events_of::<Event>(WATCHED)),
    Published::lines("deploy", |it| {
        deploying(it)
            .events_of::<Event>(WATCHED)
            .events::<unpin::Unpinned>()
    }),
    Published::lines("rollback", |it| publishing(it).events_of::<Event>(WARNING)),
    Published::lines("restart", |it| deploying(it).events::<restart::Restarted>()),
    Published::document("status", |it| it.document::<status::Statuses>()),
    Published::lines("scale", |it| {
        publishing(it.events_of::<Event>(SCALED))
            .events_of::<Event>(WARNING)
            .events::<Quiet>()
    }),
    Published::lines("set", |it| {
        publishing(it)
            .events_of::<Event>(WARNING)
            .events::<Quiet>()
            .document::<set::Listed>()
    }),
    Published::lines("org assign", |it| {
        publishing(it).events_of::<Event>(WARNING).events::<Quiet>()
    }),
    Published::lines("org release", |it| {
        publishing(it).events_of::<Event>(WARNING).events::<Quiet>()
    }),
    Published::document("org list", |it| it.document::<org::Listed>()),
    Published::lines("logs", |it| it.document::<logs::show::Described>()),
    Published::document("urls", |it| {
        it.document::<urls::document::Urls>()
            .document::<urls::open::Opened>()
    }),
    Published::document("builds", |it| it.document::<builds::Builds>()),
    Published::document("create", |it| it.document::<create::Created>()),
    Published::lines("adopt", |it| {
        publishing(it.events::<Adoption>().events::<Step>())
            .events_of::<Event>(WARNING)
            .events::<Undoing>()
    }),
    Published::document("delete", |it| it.document::<delete::Deleted>()),
    Published::document("list", |it| it.document::<list::Environments>()),
    Published::document("keys", |it| it.document::<keys::KeySet>()),
    Published::document("start", |it| it.document::<start::Enabled>()),
    Published::document("stop", |it| it.document::<start::Disabled>()),
    Published::document("init", |it| it.document::<init::Written>()),
    Published::document("doctor", |it| it.document::<doctor::shown::Diagnosis>()),
    Published::document("trust", |it| it.document::<trust::Document>()),
    Published::document("dns lines", |it| it.document::<dns::lines::Printed>()),
    Published::lines("dns serve", |it| it.events::<dns::serve::Serving>()),
    Published::lines("image build", |it| {
        it.events::<image::Building>().events::<Ended>()
    }),
    Published::document("serve", |it| it.document::<serve::Served>()),
    Published::document("serve stop", |it| it.document::<serve::Stopped>()),
    Published::document("serve status", |it| it.document::<serve::Served>()),
    Published::document("vpn status", |it| it.document::<vpn::Vpns>()),
    Published::document("vpn client", |it| it.document::<vpn::Profile>()),
    Published::document("wait", |it| it.document::<wait::Reached>()),
    Published::document("validate", |it| {
        it.document::<validate::Findings>()
            .document::<validate::Accepted>()
            .document::<validate::sizes::Made>()
            .document::<validate::sizes::Changed>()
    }),
    Published::lines("pack", |it| {
        it.events_of::<Event>(PREPARED)
            .events::<pack::Packed>()
            .events::<Ended>()
    }),
    Published::lines("error", |it| it.document::<Told>().document::<Warning>()),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::tree;

    /// What it prints is a schema.
    const SCHEMA: &str = "schema";

    /// The words of each command that does something.
    fn commands(of: &clap::Command, words: &str, found: &mut BTreeSet<String>) {
        for below in of.get_subcommands().filter(|it| it.get_name() != "help") {
            let words = format!("{words} {}", below.get_name());
            let words = words.trim();
            if !below.is_subcommand_required_set() {
                found.insert(words.to_owned());
            }
            commands(below, words, found);
        }
    }

    #[test]
    fn every_command_has_a_schema_or_is_named_here() {
        let mut all = BTreeSet::new();
        commands(&tree(), "", &mut all);
        let published = PUBLISHED.iter().map(|one| one.command);
        let published = published.filter(|command| *command != "error");
        let known = published.chain([SCHEMA]);
        let known: Vec<String> = known.map(str::to_owned).collect();
        let distinct: BTreeSet<String> = known.iter().cloned().collect();
        assert_eq!(known.len(), distinct.len(), "{known:?}");
        assert_eq!(all, distinct);
    }

    #[test]
    fn every_event_is_told_apart_by_its_kind() {
        for one in PUBLISHED {
            let schema = one.schema();
            let Some(lines) = schema["oneOf"].as_array() else {
                continue;
            };
            for line in lines {
                assert!(super::super::forms::kind(line).is_some(), "{line:#}");
            }
        }
    }

    #[test]
    fn kinds_that_are_named_are_kinds_of_events() {
        let mut forms = Forms::new();
        forms.events::<Event>();
        let all = forms.into_schema("", "");
        let all = all["oneOf"].as_array().unwrap().iter();
        let all: BTreeSet<&str> = all.filter_map(super::super::forms::kind).collect();
        let named = [PREPARED, ROLLED_OUT, WATCHED, SCALED].concat();
        assert_eq!(all, named.into_iter().collect());
    }
}
