//! Walks a deflate stream (RFC 1951) to find its last block. Decodes nothing.

/// Where the last block of a stream lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastBlock {
    /// Its first bit, the mark "last block".
    pub(super) start_bit: usize,
    /// The bit after its end.
    pub(super) end_bit: usize,
}

/// Finds the last block; `None` when this is no whole deflate stream, or when bytes
/// follow it.
pub(super) fn last_block(stream: &[u8]) -> Option<LastBlock> {
    let mut bits = Bits { stream, at: 0 };
    loop {
        let start_bit = bits.at;
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => bits.skip_stored()?,
            1 => bits.skip_coded(&Codes::fixed()?)?,
            2 => {
                let codes = bits.read_codes()?;
                bits.skip_coded(&codes)?;
            }
            _ => return None,
        }
        if last {
            let end_bit = bits.at;
            return (end_bit.div_ceil(8) == stream.len())
                .then_some(LastBlock { start_bit, end_bit });
        }
    }
}

/// The order in which a block lists the lengths of its code for code lengths.
const LENGTH_ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
const END_OF_BLOCK: u16 = 256;

struct Bits<'s> {
    stream: &'s [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, the first lowest; zeros after the end. At least 24 are right.
    fn peek(&self) -> u32 {
        let from = self.at / 8;
        let bytes = match self.stream.get(from..from + 4).map(<[u8; 4]>::try_from) {
            Some(Ok(bytes)) => bytes,
            _ => std::array::from_fn(|index| self.stream.get(from + index).copied().unwrap_or(0)),
        };
        u32::from_le_bytes(bytes) >> (self.at % 8)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.stream.len() * 8).then_some(())
    }

    /// At most 16 bits.
    fn take(&mut self, count: usize) -> Option<usize> {
        let bits = self.peek() & ((1 << count) - 1);
        self.skip(count)?;
        usize::try_from(bits).ok()
    }

    fn skip_stored(&mut self) -> Option<()> {
        self.at = self.at.next_multiple_of(8);
        let length = self.take(16)?;
        if self.take(16)? != length ^ 0xffff {
            return None;
        }
        self.skip(length * 8)
    }

    fn skip_coded(&mut self, codes: &Codes) -> Option<()> {
        loop {
            let symbol = codes.literals.next(self)?;
            if symbol == END_OF_BLOCK {
                return Some(());
            }
            if symbol < END_OF_BLOCK {
                continue;
            }
            let extra = match symbol {
                257..=264 | 285 => 0,
                265..=284 => (symbol - 261) / 4,
                _ => return None,
            };
            self.skip(extra.into())?;
            let extra = match codes.distances.next(self)? {
                0..=3 => 0,
                symbol @ 4..=29 => symbol / 2 - 1,
                _ => return None,
            };
            self.skip(extra.into())?;
        }
    }

    fn read_codes(&mut self) -> Option<Codes> {
        let literals = self.take(5)? + 257;
        let distances = self.take(5)? + 1;
        let listed = self.take(4)? + 4;
        let mut lengths = [0_u8; 19];
        for place in LENGTH_ORDER.iter().take(listed) {
            *lengths.get_mut(*place)? = u8::try_from(self.take(3)?).ok()?;
        }
        let code = Code::new(&lengths)?;
        let mut lengths: Vec<u8> = Vec::with_capacity(literals + distances);
        while lengths.len() < literals + distances {
            let (length, count) = match code.next(self)? {
                symbol @ 0..=15 => (u8::try_from(symbol).ok()?, 1),
                16 => (*lengths.last()?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                _ => (0, 11 + self.take(7)?),
            };
            lengths.resize(lengths.len() + count, length);
        }
        Some(Codes {
            literals: Code::new(lengths.get(..literals)?)?,
            distances: Code::new(lengths.get(literals..literals + distances)?)?,
        })
    }
}

/// The two codes of a block.
struct Codes {
    literals: Code,
    distances: Code,
}

impl Codes {
    fn fixed() -> Option<Self> {
        let mut lengths = [8_u8; 288];
        lengths.get_mut(144..256)?.fill(9);
        lengths.get_mut(256..280)?.fill(7);
        Some(Self {
            literals: Code::new(&lengths)?,
            distances: Code::new(&[5; 30])?,
        })
    }
}

/// A Huffman code as a table over its next bits: symbol and length, length 0 where no
/// symbol has these bits.
struct Code {
    bits: usize,
    table: Vec<(u16, u8)>,
}

impl Code {
    fn new(lengths: &[u8]) -> Option<Self> {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let bits = usize::from(longest);
        let mut table = vec![(0, 0); 1 << bits];
        let mut next = 0_usize;
        for length in 1..=longest {
            for (symbol, _) in lengths
                .iter()
                .enumerate()
                .filter(|(_, own)| **own == length)
            {
                if next >> length != 0 {
                    return None;
                }
                // Codes are written from their highest bit on, all else from the lowest.
                let first = next.reverse_bits() >> (usize::BITS - u32::from(length));
                let entry = (u16::try_from(symbol).ok()?, length);
                for place in table.iter_mut().skip(first).step_by(1 << length) {
                    *place = entry;
                }
                next += 1;
            }
            next <<= 1;
        }
        Some(Self { bits, table })
    }

    fn next(&self, bits: &mut Bits) -> Option<u16> {
        let index = usize::try_from(bits.peek()).ok()? & ((1 << self.bits) - 1);
        let (symbol, length) = *self.table.get(index)?;
        if length == 0 {
            return None;
        }
        bits.skip(length.into())?;
        Some(symbol)
    }
}
