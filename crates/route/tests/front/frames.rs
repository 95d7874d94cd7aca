//! By HTTP/2, frame by frame: what no good client sends.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::authority::HTTP_2;
use crate::rig::{Application, ok, soon};
use crate::world::{Front, ONE, org};

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM_AND_HEADERS: u8 = 0x5;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: u8 = 11;

/// A head for `GET https://org-ONE/`, as HPACK writes it without a table.
fn head() -> Vec<u8> {
    let host = org(ONE);
    let mut head = vec![0x82, 0x87, 0x84, 0x01];
    head.push(u8::try_from(host.len()).unwrap());
    head.extend(host.as_bytes());
    head
}

/// Sends bytes after the preface; the last error that the other side gave, at its end.
async fn told(front: &Front, bytes: Vec<u8>) -> Option<u8> {
    let mut stream = front.connect(&org(ONE), &[HTTP_2]).await;
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    all.extend(frame(SETTINGS, 0, 0, &[]));
    all.extend(bytes);
    // It may be told to go while it sends.
    let _ = stream.write_all(&all).await;
    let mut error = None;
    let mut start = [0; 9];
    while soon("a frame", stream.read_exact(&mut start)).await.is_ok() {
        let length = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        if start[3] == GOAWAY {
            error = Some(payload[7]);
        }
    }
    error
}

#[tokio::test]
async fn a_client_that_takes_back_all_it_asks_for_is_told_to_calm_down() {
    let application = Application::start(|mut peer, _| async move {
        peer.ended().await;
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut bytes = Vec::new();
    for number in 0..2000_u32 {
        let stream = 2 * number + 1;
        bytes.extend(frame(HEADERS, END_STREAM_AND_HEADERS, stream, &head()));
        bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
    }
    assert_eq!(told(&front, bytes).await, Some(ENHANCE_YOUR_CALM));
    assert!(application.connections() < 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_read_for_ever() {
    let application = Application::answering(ok).await;
    let front = Front::to(application.addr).await;
    let mut bytes = frame(HEADERS, 0x1, 1, &head());
    // A literal of 16 kB in each frame, and none of them is the last.
    let mut literal = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x7f];
    literal.extend(vec![b'y'; 16_384 - literal.len()]);
    for _ in 0..64 {
        bytes.extend(frame(CONTINUATION, 0, 1, &literal));
    }
    assert!(told(&front, bytes).await.is_some());
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn a_client_that_takes_back_all_that_was_begun_is_told_to_leave() {
    let application = Application::start(|mut peer, _| async move {
        peer.ended().await;
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut stream = front.connect(&org(ONE), &[HTTP_2]).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for number in 0..1000_u32 {
        let id = 2 * number + 1;
        bytes.extend(frame(HEADERS, END_STREAM_AND_HEADERS, id, &head()));
        bytes.extend(frame(PING, 0, 0, &id.to_be_bytes().repeat(2)));
        if stream.write_all(&bytes).await.is_err() {
            break;
        }
        // What answers has read the request, and begins it.
        if !pinged(&mut stream).await {
            return;
        }
        bytes = frame(RST_STREAM, 0, id, &CANCEL);
    }
    assert!(!pinged(&mut stream).await);
}

/// Whether the answer to a ping comes before the order to leave, or the end.
async fn pinged(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> bool {
    let mut start = [0; 9];
    while soon("a frame", stream.read_exact(&mut start)).await.is_ok() {
        let length = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut payload).await.is_err() {
            return false;
        }
        match start[3] {
            PING => return true,
            GOAWAY => return false,
            _ => {}
        }
    }
    false
}
