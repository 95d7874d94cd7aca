//! Frames of a WebSocket (RFC 6455), as a client writes and reads them. Messages are
//! short and in one piece; what is longer or in several is not spoken.

/// A message of text.
pub(super) const TEXT: u8 = 1;
/// The last frame, with a code.
pub(super) const CLOSE: u8 = 8;
/// To be answered with a pong.
pub(super) const PING: u8 = 9;
/// The answer to a ping.
pub(super) const PONG: u8 = 10;

/// The longest payload whose length fits into the second byte.
const MOST_BYTES: usize = 125;

/// A frame that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: u8,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame; 1005 stands for none.
    pub(super) fn close_code(&self) -> u16 {
        match self.payload.first_chunk() {
            Some(code) => u16::from_be_bytes(*code),
            None => 1005,
        }
    }
}

/// What is not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// Masked, or with bits that nobody agreed on.
    #[error("a frame that no server may send")]
    Malformed,
    /// Too long, or one of several.
    #[error("a frame of a long message")]
    Long,
}

/// A frame as a client sends it: in one piece, masked.
pub(super) fn encode(opcode: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let payload = payload.get(..MOST_BYTES).unwrap_or(payload);
    let length = u8::try_from(payload.len()).unwrap_or(0);
    let mut bytes = vec![0x80 | opcode, 0x80 | length];
    bytes.extend(mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Takes the first whole frame out of what has arrived.
pub(super) fn decode(arrived: &mut Vec<u8>) -> Result<Option<Frame>, FrameError> {
    let Some(&[first, second]) = arrived.first_chunk() else {
        return Ok(None);
    };
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(FrameError::Malformed);
    }
    let end = 2 + usize::from(second);
    if first & 0x80 == 0 || usize::from(second) > MOST_BYTES {
        return Err(FrameError::Long);
    }
    let Some(payload) = arrived.get(2..end).map(<[u8]>::to_vec) else {
        return Ok(None);
    };
    arrived.drain(..end);
    let opcode = first & 0x0f;
    Ok(Some(Frame { opcode, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_out_one_by_one_when_they_are_whole() {
        let mut arrived = vec![0x81, 2, b'h', b'i', 0x88, 2, 3];
        let hi = Frame {
            opcode: TEXT,
            payload: b"hi".to_vec(),
        };
        assert_eq!(decode(&mut arrived), Ok(Some(hi)));
        assert_eq!(decode(&mut arrived), Ok(None));
        arrived.push(0xf4);
        let close = decode(&mut arrived).unwrap().unwrap();
        assert_eq!((close.opcode, close.close_code()), (CLOSE, 1012));
        assert!(arrived.is_empty());
    }

    #[test]
    fn a_close_without_a_code_is_1005() {
        let close = decode(&mut vec![0x88, 0]).unwrap().unwrap();
        assert_eq!(close.close_code(), 1005);
    }

    #[test]
    fn what_no_server_may_send_is_an_error() {
        for (mut arrived, error) in [
            (vec![0x81, 0x82, 0, 0, 0, 0, 1, 2], FrameError::Malformed),
            (vec![0xc1, 0], FrameError::Malformed),
            (vec![0x01, 0], FrameError::Long),
            (vec![0x81, 126, 1, 0], FrameError::Long),
        ] {
            assert_eq!(decode(&mut arrived), Err(error));
        }
    }

    #[test]
    fn a_client_masks_what_it_sends() {
        assert_eq!(
            encode(TEXT, b"hi", [1, 2, 3, 4]),
            [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]
        );
    }
}
