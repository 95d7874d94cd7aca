//! Asks places who answers there.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use lockgate_builds::client::{Client, ClientError};
use lockgate_model::{DoorCard, GatewayName, protocol};
use tokio::time::timeout;

use super::places::Place;
use crate::server::PROGRAM;

/// How long one place may take: a name to be looked up, a connection, an answer.
const WITHIN: Duration = Duration::from_secs(2);

/// What asking has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The gateway answers.
    Found {
        /// Here.
        address: SocketAddr,
        /// At which of the places.
        nth: usize,
    },
    /// It answers nowhere: what each place was found to be.
    Nowhere(Vec<String>),
}

impl Asked {
    /// At which of the places it was found.
    pub(super) fn nth(&self) -> Option<usize> {
        match self {
            Self::Found { nth, .. } => Some(*nth),
            Self::Nowhere(_) => None,
        }
    }
}

/// Asks all places at the same time; the first in their order at which the gateway answers counts.
pub(super) async fn everywhere(places: &[Place], gateway: &GatewayName) -> Asked {
    let asking = places.iter().map(|place| within(place, gateway));
    let mut answers: FuturesOrdered<_> = asking.collect();
    let mut others = Vec::new();
    while let Some(answer) = answers.next().await {
        let nth = others.len();
        match answer {
            Ok(address) => return Asked::Found { address, nth },
            Err(other) => others.push(other),
        }
    }
    Asked::Nowhere(others)
}

async fn within(place: &Place, gateway: &GatewayName) -> Result<SocketAddr, String> {
    let late = || format!("no answer within {}", humantime::format_duration(WITHIN));
    let asked = timeout(WITHIN, ask(place, gateway)).await;
    let found = asked.unwrap_or_else(|_| Err(late()));
    found.map_err(|why| format!("{place}: {why}"))
}

/// The address of a place at which the gateway answers, or who or what else is there.
async fn ask(place: &Place, gateway: &GatewayName) -> Result<SocketAddr, String> {
    let address = match place {
        Place::At(address) => *address,
        Place::Named(name, port) => {
            let found = tokio::net::lookup_host((name.as_str(), *port)).await;
            let mut found = found.map_err(|_| "this machine knows no such name".to_owned())?;
            found.next().ok_or("the name has no address")?
        }
    };
    let client = Client {
        endpoint: address.into(),
        program: PROGRAM.to_owned(),
        token: None,
    };
    let answer = client.get_json(protocol::DOOR_PATH, WITHIN).await;
    judge(answer, gateway).map(|()| address)
}

/// Whether it was the gateway that answered.
fn judge(answer: Result<DoorCard, ClientError>, gateway: &GatewayName) -> Result<(), String> {
    match answer {
        Ok(card) if card.gateway == *gateway => Ok(()),
        Ok(card) => Err(format!("{} answers there", card.gateway)),
        Err(
            error @ (ClientError::Status { .. }
            | ClientError::Json { .. }
            | ClientError::TooLong { .. }
            | ClientError::Exchange { .. }),
        ) => Err(match error.status() {
            Some(status) => format!("what answers there is no gateway's door ({status})"),
            None => "what answers there is no gateway's door".to_owned(),
        }),
        Err(ClientError::Connect { source, .. }) => Err(source.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Somebody who answers every request with this; nothing at all where it is empty.
    async fn somebody(status: &'static str, body: String) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if status.is_empty() {
                    silent.push(stream);
                    continue;
                }
                let _ = stream.read(&mut [0; 1024]).await;
                let length = body.len();
                let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Place::At(address)
    }

    async fn door(gateway: &str) -> Place {
        let card = DoorCard {
            gateway: GatewayName::parse(gateway).unwrap(),
            build: None,
        };
        somebody("200 OK", serde_json::to_string(&card).unwrap()).await
    }

    async fn nobody() -> Place {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Place::At(free.local_addr().unwrap())
    }

    fn address(place: &Place) -> SocketAddr {
        match place {
            Place::At(address) => *address,
            Place::Named(..) => unreachable!("it has an address"),
        }
    }

    #[tokio::test]
    async fn the_first_place_at_which_the_gateway_answers_counts_and_others_are_passed_by() {
        let gateway = GatewayName::parse("gw-pool-dev-0").unwrap();
        let (first, second) = (door("gw-pool-dev-0").await, door("gw-pool-dev-0").await);
        let strangers = [
            nobody().await,
            door("gw-pool-dev-1").await,
            somebody("404 Not Found", "no".to_owned()).await,
            somebody("200 OK", "<html>".to_owned()).await,
            Place::Named("no-such-name.invalid".to_owned(), 7100),
        ];
        let places: Vec<Place> = strangers
            .into_iter()
            .chain([first.clone(), second])
            .collect();
        let found = everywhere(&places, &gateway).await;
        let (address, nth) = (address(&first), 5);
        assert_eq!(found, Asked::Found { address, nth });
    }

    #[tokio::test]
    async fn who_else_answers_is_named_and_nobody_is_waited_for_long() {
        let gateway = GatewayName::parse("gw-pool-dev-0").unwrap();
        let places = [
            nobody().await,
            door("gw-pool-dev-1").await,
            somebody("404 Not Found", "no".to_owned()).await,
            somebody("200 OK", "<html>".to_owned()).await,
            somebody("", String::new()).await,
        ];
        let Asked::Nowhere(told) = everywhere(&places, &gateway).await else {
            unreachable!("nobody of them is it");
        };
        let expected = [
            "Connection refused (os error 111)",
            "gw-pool-dev-1 answers there",
            "what answers there is no gateway's door (404 Not Found)",
            "what answers there is no gateway's door",
            "no answer within 2s",
        ];
        for ((told, place), expected) in told.iter().zip(&places).zip(expected) {
            let late = told.contains("did not answer within 2s");
            let expected = format!("{place}: {expected}");
            assert!(
                *told == expected || (late && expected.contains("2s")),
                "{told}"
            );
        }
        assert_eq!(told.len(), places.len());
    }
}
