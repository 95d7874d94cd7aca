//! Opens a URL in a browser.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::process::Command;
use tokio::time::timeout;

use crate::context::Context;
use crate::error::CommandError;
use crate::names::Machine;

/// How long a program has to say that it cannot: one that shows the page itself stays.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);

/// What is opened.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Opened<'o> {
    /// The URL.
    url: &'o str,
    /// The program that was asked to; null where there is none.
    opened_by: Option<&'o str>,
}

/// Opens a URL, and prints it.
pub(super) async fn open(ctx: &Context, url: &str) -> Result<(), CommandError> {
    let path = ctx.config.of_user("PATH");
    let folders: Vec<PathBuf> =
        path.map_or_else(Vec::new, |path| std::env::split_paths(path).collect());
    let has = |program: &str| {
        program.contains('/') && Path::new(program).is_file()
            || folders.iter().any(|folder| folder.join(program).is_file())
    };
    let in_wsl = Machine::of(Path::new("/")).in_wsl;
    let Some(words) = browser(ctx.config.browser.as_deref(), in_wsl, url, &has) else {
        show(ctx, url, None)?;
        return Err(CommandError::failed("no program opens a browser here")
            .hint("install xdg-utils, or set BROWSER; the URL is above"));
    };
    let program = words.first().cloned().unwrap_or_default();
    let failed = |why: String| {
        CommandError::failed(format!("`{program}` did not open it"))
            .because_of(why)
            .hint("set BROWSER to another program; the URL is above")
    };
    show(ctx, url, Some(&program))?;
    let mut child = Command::new(&program)
        .args(words.iter().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A browser that is started by this is not ended by Ctrl-C in this terminal.
        .process_group(0)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    match timeout(REFUSED_WITHIN, child.wait()).await {
        Ok(Ok(status)) if !status.success() => Err(failed(status.to_string())),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

fn show(ctx: &Context, url: &str, by: Option<&str>) -> Result<(), CommandError> {
    if ctx.screen.is_json() {
        return ctx.screen.document(&Opened { url, opened_by: by });
    }
    ctx.screen.data(&format!("{url}\n"))
}

/// The command that opens a URL: what `BROWSER` says (commands with colons between them, `%s` the
/// URL), on WSL what opens a browser of Windows, else the desktop's own.
fn browser(
    given: Option<&str>,
    in_wsl: bool,
    url: &str,
    has: &dyn Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let given = given.unwrap_or_default().split(':').map(str::to_owned);
    let wsl = in_wsl.then(|| "wslview".to_owned());
    let all = given.chain(wsl).chain(["xdg-open".to_owned()]);
    let commands = all.map(|command| {
        let words = command.split_whitespace();
        words.map(str::to_owned).collect::<Vec<_>>()
    });
    let mut there = commands.filter(|words| words.first().is_some_and(|program| has(program)));
    let mut words = there.next()?;
    let mut said = false;
    for word in &mut words {
        if word.contains("%s") {
            *word = word.replace("%s", url);
            said = true;
        }
    }
    if !said {
        words.push(url.to_owned());
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_browser_goes_first_and_the_desktops_last() {
        let check = |given: Option<&str>, wsl, there: &[&str], expected: &[&str]| {
            let has = |program: &str| there.contains(&program);
            let found = browser(given, wsl, "https://x/", &has).unwrap_or_default();
            assert_eq!(found, expected, "{given:?} {there:?}");
        };
        let all = ["firefox", "wslview", "xdg-open"];
        check(None, false, &all, &["xdg-open", "https://x/"]);
        check(None, true, &all, &["wslview", "https://x/"]);
        check(None, true, &["xdg-open"], &["xdg-open", "https://x/"]);
        check(Some("firefox"), true, &all, &["firefox", "https://x/"]);
        let given = Some("chrome %s:firefox --new-tab %s");
        check(given, false, &all, &["firefox", "--new-tab", "https://x/"]);
        check(Some("lynx"), false, &["wslview"], &[]);
        check(Some(""), false, &["xdg-open"], &["xdg-open", "https://x/"]);
    }
}
