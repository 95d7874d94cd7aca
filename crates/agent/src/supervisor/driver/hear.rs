//! Listens to what processes say over their channels.

use super::super::machine::{Event, Start};
use super::start::probe;
use super::{Driver, now};
use crate::gate::{Message, Speaks};
use crate::probe::is_asked;

impl Driver {
    /// What a process says, as an event where it is one.
    pub(super) fn hear(&mut self, start: Start, message: Message) -> Option<Event> {
        let live = self.live.get_mut(&start)?;
        live.speaks = true;
        match message {
            Message::Gate { seen, at } => {
                let (pid, beside) = (live.pid, self.machine.held().is_some());
                if beside {
                    self.say(&format!("process {pid} is held at its gate: {at}"));
                }
                Some(Event::AtGate { start, seen })
            }
            Message::Listening { speaks } => {
                // Whatever `listen` has just made of the queue.
                self.sockets.deepen();
                // Only the first server that listens is asked.
                let asking = live.asking()?;
                if speaks != Speaks::Http || !is_asked(&asking.readiness) {
                    return Some(Event::Ready { start });
                }
                let asking = probe(start, Some(asking), self.found.clone());
                let task = self.tasks.spawn(asking);
                self.live.get_mut(&start)?.asked_by(task);
                None
            }
            Message::Lingering => {
                live.lingers();
                None
            }
            Message::Draining => {
                self.facts.watch.down(now());
                None
            }
            Message::Drained { cut, websockets } => {
                live.drained();
                self.facts.cost.cut = cut;
                self.facts.cost.uncounted = None;
                self.facts.cost.websockets = websockets;
                Some(Event::Drained { start })
            }
        }
    }
}
