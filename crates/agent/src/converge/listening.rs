//! The loop's side towards the build server: questions, answers, new statements.

use std::time::Duration;

use lockgate_model::protocol::MAX_WAIT_SECS;
use tokio::time::Instant;
use tracing::{info, warn};

use super::ask::{Answer, NoAnswer, Question};
use super::backoff::random;
use super::plan::{Judgement, judge};
use super::{Accepted, Asking, Converge};

/// A query that comes back sooner than this without news is not repeated at once.
const SOON: Duration = Duration::from_secs(1);

impl Converge {
    /// The next question. While there is no contact the server shall answer at once,
    /// so that contact is known to be there.
    pub(super) fn ask(&mut self, delay: Duration) -> Asking {
        let wait = if self.in_contact {
            Duration::from_secs(MAX_WAIT_SECS)
        } else {
            // Whatever was offered before shall be offered again.
            self.seen = self.followed();
            Duration::ZERO
        };
        let question = Question {
            delay,
            remembered: self.view.borrow().server.clone(),
            after: self.seen,
            wait,
        };
        self.waiting_since = self.in_contact.then(|| Instant::now() + delay);
        let asker = self.means.asker.clone();
        Box::pin(async move { asker.ask(question).await })
    }

    /// Takes an answer in; gives the delay before the next question.
    pub(super) async fn answered(&mut self, answer: Result<Answer, NoAnswer>) -> Duration {
        let answer = match answer {
            Ok(answer) => answer,
            Err(NoAnswer(why)) => {
                if self.in_contact || self.view.borrow().server_problem.is_none() {
                    warn!(%why, "the build server does not answer");
                }
                self.in_contact = false;
                for reload in self.reloads.drain(..) {
                    let _ = reload.send(Err(why.clone()));
                }
                self.show(|view| view.server_problem = Some(why));
                return self.ask_backoff.after_failure(random());
            }
        };
        self.ask_backoff.reset();
        let regained = !self.in_contact;
        self.in_contact = true;
        if regained {
            self.retry_fetch_now();
        }
        let still_older = answer.statement.is_none() && self.seen < self.followed();
        self.show(|view| {
            view.contact(answer.endpoint, regained);
            if !still_older {
                view.server_problem = None;
            }
        });
        let judged = match answer.statement {
            None => Judgement::Known,
            Some((statement, signed)) => {
                self.seen = statement.seq;
                self.accept(Accepted { statement, signed }).await
            }
        };
        self.act().await;
        let seq = self.followed();
        for reload in self.reloads.drain(..) {
            let _ = reload.send(Ok(seq));
        }
        pause(judged, self.waiting_since.map(|since| since.elapsed()))
    }

    /// Has the VPN serve the organization of the statement that is followed.
    pub(super) async fn follow_organization(&mut self) {
        if let Some(wanted) = &self.wanted {
            self.means.vpn.follow(&wanted.statement).await;
        }
    }

    /// The number of the statement that is followed.
    fn followed(&self) -> u64 {
        let wanted = self.wanted.as_ref();
        wanted.map_or(0, |wanted| wanted.statement.seq)
    }

    /// Takes a verified statement over if it is newer.
    async fn accept(&mut self, offered: Accepted) -> Judgement {
        let seq = offered.statement.seq;
        let known = self.wanted.as_ref().map(|wanted| &wanted.statement);
        let judged = judge(known, &offered.statement);
        match judged {
            Judgement::Known => {}
            Judgement::Older => {
                let accepted = known.map_or(0, |known| known.seq);
                let why = format!(
                    "the build server offers statement {seq}, older than {accepted}, which this gateway follows"
                );
                warn!(%why, "statement not followed");
                self.show(|view| view.server_problem = Some(why));
            }
            Judgement::New => {
                info!(seq, build = %offered.statement.build, run = offered.statement.run, "statement accepted");
                let kept = offered.kept();
                self.keep(move |state| state.keep_statement(&kept)).await;
                self.show(|view| view.accepted(&offered.statement));
                self.fetch_backoff.reset();
                if self
                    .fetching
                    .as_ref()
                    .is_some_and(|f| !f.serves(&offered.statement))
                {
                    self.fetching = None;
                }
                self.wanted = Some(offered);
                self.follow_organization().await;
                self.look_at_releases().await;
            }
        }
        judged
    }
}

/// The delay before the next question, after a query that waited so long, if it was
/// one that waits. A server that answers without news shall not be asked in a circle.
fn pause(judged: Judgement, waited: Option<Duration>) -> Duration {
    match judged {
        Judgement::New => Duration::ZERO,
        Judgement::Known if waited.is_none_or(|waited| waited >= SOON) => Duration::ZERO,
        Judgement::Known | Judgement::Older => SOON,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_news_that_came_at_once_is_followed_by_a_pause() {
        let (at_once, late) = (Some(Duration::ZERO), Some(Duration::from_secs(55)));
        assert_eq!(pause(Judgement::New, at_once), Duration::ZERO);
        assert_eq!(pause(Judgement::Known, late), Duration::ZERO);
        assert_eq!(pause(Judgement::Known, None), Duration::ZERO);
        assert_eq!(pause(Judgement::Known, at_once), SOON);
        assert_eq!(pause(Judgement::Older, late), SOON);
    }
}
