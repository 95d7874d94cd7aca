//! What listens in each gateway beside what should: `--wide`.
//!
//! ```text
//!   local       ─▶ the agent's control socket ─┐
//!                                              ├─▶ rows, and what is wrong below them
//!   a container ─▶ exec `lockgate-agent …`  ───┘
//! ```
//!
//! Agents are asked at this moment and for this alone; no report carries it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use lockgate_builds::client::{Client, Endpoint};
use lockgate_model::protocol::LISTENERS_PATH;
use lockgate_model::{GatewayName, Listener, ListenerState, Listeners};
use tokio::time::timeout;

use crate::context::Context;
use crate::error::in_one_line;
use crate::runtime::docker::engine::{Engine, EngineError, Exec};
use crate::server::PROGRAM;
use crate::server::control::GatewayView;
use crate::views::paint::{Paint, Tone};
use crate::views::table::{self, Cell, Column};

/// What an agent told, or why it did not.
pub(crate) type Told = Result<Vec<Listener>, String>;

/// How long an agent may take: it reads `/proc`.
const WITHIN: Duration = Duration::from_secs(5);

const COLUMNS: [Column; 5] = [
    Column::name("GATEWAY"),
    Column::expendable("LISTENS FOR", 1),
    Column::kept("ON"),
    Column::kept("IS"),
    Column::kept("BY"),
];

/// Asks each agent that runs, all at once.
pub(crate) async fn ask(
    ctx: &Context,
    engine: Option<&Engine>,
    views: &[GatewayView],
) -> BTreeMap<GatewayName, Told> {
    let each = views.iter().map(|view| async {
        let asked = async {
            match (&view.container, view.agent_pid) {
                (Some(container), _) if container.running => Some(inside(engine?, view).await),
                (None, Some(_)) => Some(beside(ctx, view).await),
                (Some(_) | None, _) => None,
            }
        };
        let told = timeout(WITHIN, asked).await;
        let told = told.unwrap_or_else(|_| Some(Err("its agent does not answer".to_owned())));
        Some((view.name.clone(), told?))
    });
    let told = futures_util::future::join_all(each).await;
    told.into_iter().flatten().collect()
}

/// An agent of this host.
async fn beside(ctx: &Context, view: &GatewayView) -> Told {
    let client = Client {
        endpoint: Endpoint::Unix(ctx.config.home.agent_socket(&view.name)),
        program: PROGRAM.to_owned(),
        token: None,
    };
    let told = client.get_json::<Listeners>(LISTENERS_PATH, WITHIN).await;
    told.map(|it| it.listeners)
        .map_err(|error| in_one_line(&error))
}

/// An agent in a container.
async fn inside(engine: &Engine, view: &GatewayView) -> Told {
    let text = output(engine, view.name.as_str())
        .await
        .map_err(|error| error.in_one_line())?;
    let told: Listeners = serde_json::from_slice(&text)
        .map_err(|_| "its agent does not tell what listens; is it an older one?".to_owned())?;
    Ok(told.listeners)
}

async fn output(engine: &Engine, name: &str) -> Result<Vec<u8>, EngineError> {
    let command = ["lockgate-agent", "listeners", "--format", "json"];
    let command = command.map(str::to_owned).into();
    let mut running = engine.exec(name, command, Exec::Plain).await?;
    let mut text = Vec::new();
    while let Some((is_error, piece)) = running.next().await {
        if !is_error {
            text.extend(piece);
        }
    }
    Ok(text)
}

/// The table with what is wrong below it; nothing where nothing was asked.
pub(super) fn rendered(told: &BTreeMap<GatewayName, Told>, ctx: &Context) -> String {
    text(told, ctx.screen.width, ctx.screen.out)
}

fn text(told: &BTreeMap<GatewayName, Told>, width: Option<usize>, paint: Paint) -> String {
    let all = told.iter().filter_map(|(name, told)| {
        let told = told.as_ref().ok()?;
        Some(told.iter().map(move |one| (name, one)))
    });
    let rows: Vec<_> = all.flatten().map(|(name, one)| row(name, one)).collect();
    let mut text = if rows.is_empty() {
        String::new()
    } else {
        table::render(COLUMNS, &rows, width, paint)
    };
    for (name, told) in told {
        let wrong: Vec<String> = match told {
            Ok(all) => all.iter().filter_map(Listener::problem).collect(),
            Err(why) => vec![format!("what listens is not known: {why}")],
        };
        for problem in wrong {
            // Writing to a String cannot fail.
            let mark = paint.tone(Tone::Bad, "!");
            let _ = writeln!(text, "{mark} {name}: {problem}");
        }
    }
    text
}

fn row(name: &GatewayName, one: &Listener) -> [Cell; 5] {
    let tone = match one.state {
        ListenerState::Held => Tone::Good,
        ListenerState::Missing | ListenerState::Foreign => Tone::Bad,
        ListenerState::Unexpected => Tone::Dim,
    };
    let holders = one.holders();
    [
        name.as_str().into(),
        Cell::maybe(one.what.as_ref()),
        format!("{} {}", one.transport, one.address).into(),
        Cell::new(one.state.as_str(), tone),
        Cell::maybe(Some(holders).filter(|it| !it.is_empty())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{Holder, Transport};

    fn listener(
        what: Option<&str>,
        address: &str,
        state: ListenerState,
        holders: &[(u32, &str)],
    ) -> Listener {
        let holder = |(pid, name): &(u32, &str)| Holder {
            pid: *pid,
            name: (*name).to_owned(),
            own: state != ListenerState::Foreign,
        };
        Listener {
            what: what.map(str::to_owned),
            transport: Transport::Tcp,
            address: address.parse().unwrap(),
            state,
            processes: holders.iter().map(holder).collect(),
        }
    }

    fn told() -> BTreeMap<GatewayName, Told> {
        use ListenerState::{Foreign, Held, Unexpected};
        let name = |number| GatewayName::parse(&format!("gw-pool-dev-001-{number}")).unwrap();
        let node = [(1, "lockgate-agent"), (21, "node")];
        let nginx = [(14, "nginx"), (15, "nginx")];
        let door = Some("door (nginx)");
        let first = vec![
            listener(Some("application"), "127.0.0.1:8888", Held, &node),
            listener(door, "0.0.0.0:7100", Held, &nginx),
            listener(door, "0.0.0.0:80", Held, &nginx),
            listener(None, "127.0.0.1:9229", Unexpected, &node[1..]),
        ];
        let application = Some("application");
        let second = vec![listener(
            application,
            "127.0.0.1:8888",
            Foreign,
            &[(9, "nc")],
        )];
        [
            (name(0), Ok(first)),
            (name(1), Ok(second)),
            (name(2), Err("its agent does not answer".to_owned())),
        ]
        .into()
    }

    #[test]
    fn a_row_for_each_address_and_what_is_wrong_below_them() {
        let expected = "\
GATEWAY            LISTENS FOR   ON                  IS          BY
gw-pool-dev-001-0  application   tcp 127.0.0.1:8888  held        node (21)
gw-pool-dev-001-0  door (nginx)  tcp 0.0.0.0:7100    held        nginx (14, 15)
gw-pool-dev-001-0  door (nginx)  tcp 0.0.0.0:80      held        nginx (14, 15)
gw-pool-dev-001-0  -             tcp 127.0.0.1:9229  unexpected  node (21)
gw-pool-dev-001-1  application   tcp 127.0.0.1:8888  foreign     nc (9)
! gw-pool-dev-001-1: tcp 127.0.0.1:8888 (application) is taken: `nc` (process 9), which the agent did not start, has it; `kill 9` in the gateway makes room
! gw-pool-dev-001-2: what listens is not known: its agent does not answer
";
        assert_eq!(text(&told(), None, Paint::new(false)), expected);
        assert_eq!(text(&BTreeMap::new(), None, Paint::new(false)), "");
    }

    #[test]
    fn a_narrow_terminal_shows_addresses_states_and_processes() {
        // Eighty columns are enough for all of it.
        let (all, wide) = (text(&told(), Some(80), Paint::new(false)), None);
        assert_eq!(all, text(&told(), wide, Paint::new(false)));
        let shown = text(&told(), Some(70), Paint::new(false));
        let rows: Vec<&str> = shown.lines().take(3).collect();
        assert_eq!(
            rows,
            [
                "GATEWAY            ON                  IS          BY",
                "gw-pool-dev-001-0  tcp 127.0.0.1:8888  held        node (21)",
                "gw-pool-dev-001-0  tcp 0.0.0.0:7100    held        nginx (14, 15)",
            ]
        );
    }
}
