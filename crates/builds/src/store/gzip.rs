//! Compresses to gzip on all processors, into one plain member.
//!
//! Several members one after another would be valid and simpler, but `curl --compressed`
//! and Python's streaming `tarfile` stop after the first. So pieces are compressed side
//! by side, and their deflate streams are joined into one: the mark "last block" is
//! taken from all pieces but the last, and an empty stored block fills up the byte.

mod blocks;

use std::io;
use std::num::NonZero;
use std::thread;

use libdeflater::{CompressionLvl, Compressor};

/// The level of `gzip` itself; its size in a fraction of its time.
const LEVEL: i32 = 6;
/// About what a piece holds: each begins without memory of the one before, which costs
/// a few kilobytes.
const PIECE_BYTES: usize = 8 << 20;
/// Magic, deflate, no flags, no time, no hint, no system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty stored block after its three header bits.
const STORED: [u8; 4] = [0, 0, 0xff, 0xff];

/// The input as one gzip member, the same on every machine.
pub(super) fn gzip(input: &[u8]) -> io::Result<Vec<u8>> {
    let pieces: Vec<&[u8]> = input.chunks(piece_bytes(input.len())).collect();
    let mut streams = side_by_side(&pieces)?;
    let last = match streams.pop() {
        Some(last) => last,
        None => deflate(input)?,
    };
    let mut joined = Vec::new();
    for stream in streams {
        let Some(open) = left_open(stream) else {
            // Nothing that libdeflate writes should lead here; the plain way always works.
            return member(&deflate(input)?, input);
        };
        joined.extend(open);
    }
    joined.extend(last);
    member(&joined, input)
}

/// An even number of pieces of equal size, so that two processors end together.
fn piece_bytes(length: usize) -> usize {
    let pieces = match length.div_ceil(PIECE_BYTES) {
        0 | 1 => 1,
        several => several.next_multiple_of(2),
    };
    length.div_ceil(pieces).max(1)
}

/// Compresses pieces on all processors, in order.
fn side_by_side(pieces: &[&[u8]]) -> io::Result<Vec<Vec<u8>>> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = pieces.len().div_ceil(processors).max(1);
    thread::scope(|scope| {
        let work = |share: &[&[u8]]| share.iter().map(|piece| deflate(piece)).collect();
        let spawned: Vec<_> = pieces
            .chunks(share)
            .map(|share| scope.spawn(move || -> io::Result<Vec<_>> { work(share) }))
            .collect();
        let mut streams = Vec::with_capacity(pieces.len());
        for worker in spawned {
            let stopped = |_| Err(io::Error::other("a compressor stopped"));
            streams.extend(worker.join().unwrap_or_else(stopped)?);
        }
        Ok(streams)
    })
}

fn deflate(input: &[u8]) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(LEVEL)
        .map_err(|_| io::Error::other("the gzip level is out of range"))?;
    let mut compressor = Compressor::new(level);
    let mut output = vec![0; compressor.deflate_compress_bound(input.len())];
    let size = compressor
        .deflate_compress(input, &mut output)
        .map_err(io::Error::other)?;
    output.truncate(size);
    Ok(output)
}

/// The stream without an end: another may follow.
fn left_open(mut stream: Vec<u8>) -> Option<Vec<u8>> {
    let last = blocks::last_block(&stream)?;
    let mark = stream.get_mut(last.start_bit / 8)?;
    *mark &= !(1 << (last.start_bit % 8));
    // The stored block's header is three zero bits; the rest of the last byte is zero.
    let whole_bytes = (last.end_bit + 3).div_ceil(8);
    stream.resize(whole_bytes, 0);
    stream.extend(STORED);
    Some(stream)
}

fn member(stream: &[u8], input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(HEADER.len() + stream.len() + 8);
    output.extend(HEADER);
    output.extend(stream);
    output.extend(libdeflater::crc32(input).to_le_bytes());
    let modulo = u32::try_from(input.len() as u64 & u64::from(u32::MAX));
    output.extend(modulo.map_err(io::Error::other)?.to_le_bytes());
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that compresses like code, with stretches that do not at all.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut bytes = Vec::with_capacity(length + 64);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state.is_multiple_of(97) {
                for shift in 0..200_u64 {
                    bytes.extend(state.wrapping_mul(shift | 1).wrapping_pow(3).to_be_bytes());
                }
            } else {
                let word = state % 500;
                bytes.extend(format!("var module_{word} = require_{};\n", word / 3).bytes());
            }
        }
        bytes.truncate(length);
        bytes
    }

    fn check(input: &[u8]) {
        let packed = gzip(input).unwrap();
        let mut output = vec![0; input.len()];
        let mut decompressor = libdeflater::Decompressor::new();
        let size = decompressor.gzip_decompress(&packed, &mut output).unwrap();
        assert_eq!(size, input.len());
        assert!(output == input, "{} bytes differ", input.len());
        assert_eq!(gzip(input).unwrap(), packed);
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for length in [
            0,
            1,
            100,
            PIECE_BYTES,
            PIECE_BYTES + 1,
            3 * PIECE_BYTES + 12_345,
        ] {
            check(&sample(length));
        }
        check(&vec![0; 3 * PIECE_BYTES]);
    }

    /// Pieces of all sizes end at all bits of a byte.
    #[test]
    fn joined_streams_are_one_stream() {
        let input = sample(40_000);
        for (index, length) in (0..100).map(|step| step * step).enumerate() {
            let (head, tail) = input.split_at(length);
            let mut joined = left_open(deflate(head).unwrap()).unwrap();
            joined.extend(left_open(deflate(&tail[..index]).unwrap()).unwrap());
            joined.extend(deflate(&tail[index..]).unwrap());
            let mut output = vec![0; input.len()];
            let mut decompressor = libdeflater::Decompressor::new();
            let size = decompressor
                .deflate_decompress(&joined, &mut output)
                .unwrap();
            assert_eq!(size, input.len(), "{length}");
            assert!(output == input, "{length}");
        }
    }

    #[test]
    fn what_is_no_deflate_stream_is_not_joined() {
        let stream = deflate(&sample(50_000)).unwrap();
        for length in [0, 1, 2, 10, stream.len() / 2, stream.len() - 1] {
            assert!(left_open(stream[..length].to_vec()).is_none(), "{length}");
        }
        assert!(left_open([stream, vec![0]].concat()).is_none());
    }

    #[test]
    fn pieces_are_even_in_number_and_equal_in_size() {
        for (length, pieces) in [
            (0, 0),
            (1, 1),
            (PIECE_BYTES, 1),
            (PIECE_BYTES + 1, 2),
            (25_000_000, 4),
        ] {
            let input = vec![0; length];
            assert_eq!(
                input.chunks(piece_bytes(length)).count(),
                pieces,
                "{length}"
            );
        }
    }
}
