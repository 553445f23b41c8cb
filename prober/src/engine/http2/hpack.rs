//! Header compression (RFC 7541): decoding, and the parts of encoding that a request needs. Pure.
//!
//! Decoding allocates nothing for a field: the table keeps its fields in one buffer, and a field is
//! decoded at the end of it. Memory is bounded by the table's size and by the length of one block,
//! which the caller limits.

mod huffman;
mod tables;

use tables::{DynamicTable, Entry, OVERHEAD, STATIC};

/// The size of a table unless a peer sets another one (RFC 9113, 6.5.2).
pub(super) const TABLE_SIZE: usize = 4_096;

/// A header block is not valid, so that the tables of both sides may differ from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// A decoded field.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeaderField<'a, K> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// What the decoder's function found it to be.
    pub kind: K,
}

/// Decodes the header blocks of a connection.
#[derive(Debug)]
pub(super) struct Decoder<K> {
    table: DynamicTable<K>,
    /// Asked once for each field that enters the table, and for each literal.
    kind_of: fn(&[u8], &[u8]) -> K,
}

impl<K: Copy> Decoder<K> {
    pub(super) fn new(kind_of: fn(&[u8], &[u8]) -> K) -> Self {
        Self { table: DynamicTable::new(TABLE_SIZE), kind_of }
    }

    /// Decodes a whole header block and passes its fields to `each`.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(HeaderField<'_, K>),
    ) -> Result<(), Invalid> {
        let mut input = Input(block);
        let mut at_start = true;
        while let Some(&first) = input.0.first() {
            match first {
                0x80.. => self.indexed(input.integer(7)?, &mut each)?,
                0x40.. => self.literal(&mut input, 6, true, &mut each)?,
                0x20.. if at_start => {
                    let most = input.integer(5)?;
                    if most > TABLE_SIZE {
                        return Err(Invalid);
                    }
                    self.table.resize(most, 0);
                    continue;
                }
                0x20.. => return Err(Invalid),
                _ => self.literal(&mut input, 4, false, &mut each)?,
            }
            at_start = false;
        }
        Ok(())
    }

    fn indexed(
        &self,
        index: usize,
        each: &mut impl FnMut(HeaderField<'_, K>),
    ) -> Result<(), Invalid> {
        match place(index)? {
            Place::Static((name, value)) => {
                let (name, value) = (name.as_bytes(), value.as_bytes());
                each(HeaderField { name, value, kind: (self.kind_of)(name, value) });
            }
            Place::Dynamic(index) => self.pass(&self.table.get(index).ok_or(Invalid)?, each),
        }
        Ok(())
    }

    fn literal(
        &mut self,
        input: &mut Input<'_>,
        prefix: u32,
        enters: bool,
        each: &mut impl FnMut(HeaderField<'_, K>),
    ) -> Result<(), Invalid> {
        let index = input.integer(prefix)?;
        self.table.compact();
        let name = self.table.mark();
        if index == 0 {
            input.string(self.table.append())?;
        } else {
            match place(index)? {
                Place::Static((name, _)) => self.table.append().extend_from_slice(name.as_bytes()),
                Place::Dynamic(index) => {
                    let entry = self.table.get(index).ok_or(Invalid)?;
                    self.table.repeat_name(&entry);
                }
            }
        }
        let value = self.table.mark();
        input.string(self.table.append())?;
        let bytes = self.table.append();
        let kind = (self.kind_of)(&bytes[name..value], &bytes[value..]);
        let entry = self.table.field(name, value, kind);
        self.pass(&entry, each);
        if enters {
            self.table.insert(entry);
        } else {
            self.table.forget(name);
        }
        Ok(())
    }

    fn pass(&self, entry: &Entry<K>, each: &mut impl FnMut(HeaderField<'_, K>)) {
        let (name, value) = (self.table.name(entry), self.table.value(entry));
        each(HeaderField { name, value, kind: entry.kind });
    }
}

/// Where an index points to.
enum Place {
    Static((&'static str, &'static str)),
    Dynamic(usize),
}

fn place(index: usize) -> Result<Place, Invalid> {
    let index = index.checked_sub(1).ok_or(Invalid)?;
    Ok(match STATIC.get(index) {
        Some(entry) => Place::Static(*entry),
        None => Place::Dynamic(index - STATIC.len()),
    })
}

/// The rest of a block.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Invalid> {
        let (first, rest) = self.0.split_first().ok_or(Invalid)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer whose first byte has `prefix` bits of it (5.1). More than four further bytes are
    /// refused: no number that matters is so large.
    fn integer(&mut self, prefix: u32) -> Result<usize, Invalid> {
        let most = (1usize << prefix) - 1;
        let mut number = usize::from(self.byte()?) & most;
        if number < most {
            return Ok(number);
        }
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Invalid)
    }

    /// Appends a string to `into` (5.2).
    fn string(&mut self, into: &mut Vec<u8>) -> Result<(), Invalid> {
        let huffman = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Invalid)?;
        self.0 = rest;
        if huffman {
            huffman::decode(text, into).ok_or(Invalid)
        } else {
            into.extend_from_slice(text);
            Ok(())
        }
    }
}

/// How much a field counts in a table, and in the size of a list of headers.
pub(super) fn size(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + OVERHEAD
}

/// The indexes of a field's name and of the whole field in the static table.
fn static_index(name: &[u8], value: &[u8]) -> (Option<usize>, Option<usize>) {
    let same_name = |entry: &(&str, &str)| entry.0.as_bytes() == name;
    let same = |entry: &(&str, &str)| same_name(entry) && entry.1.as_bytes() == value;
    let index = |place: usize| place + 1;
    (STATIC.iter().position(same_name).map(index), STATIC.iter().position(same).map(index))
}

/// Whether the static table has the whole field.
pub(super) fn is_static(name: &[u8], value: &[u8]) -> bool {
    static_index(name, value).1.is_some()
}

/// How a literal is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    /// The receiver adds the field to its table.
    Indexed,
    /// It does not.
    Plain,
}

/// Appends a field, as an index of the static table or as a literal without the Huffman code.
/// Returns whether it is a literal.
pub(super) fn encode(name: &[u8], value: &[u8], literal: Literal, into: &mut Vec<u8>) -> bool {
    let (name_in, whole_in) = static_index(name, value);
    if let Some(index) = whole_in {
        encode_integer(index, 7, 0x80, into);
        return false;
    }
    let (prefix, start) = if literal == Literal::Indexed { (6, 0x40) } else { (4, 0) };
    match name_in {
        Some(index) => encode_integer(index, prefix, start, into),
        None => {
            into.push(start);
            encode_string(name, into);
        }
    }
    encode_string(value, into);
    true
}

/// Appends the `nth` newest entry of the receiver's table, from 0.
pub(super) fn encode_entry(nth: usize, into: &mut Vec<u8>) {
    encode_integer(STATIC.len() + 1 + nth, 7, 0x80, into);
}

/// The update that empties the receiver's table (6.3).
pub(super) const EMPTY_TABLE: u8 = 0x20;

fn encode_string(text: &[u8], into: &mut Vec<u8>) {
    encode_integer(text.len(), 7, 0, into);
    into.extend_from_slice(text);
}

fn encode_integer(number: usize, prefix: u32, start: u8, into: &mut Vec<u8>) {
    let most = (1usize << prefix) - 1;
    if number < most {
        into.push(start | number as u8);
        return;
    }
    into.push(start | most as u8);
    let mut rest = number - most;
    while rest >= 0x80 {
        into.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    into.push(rest as u8);
}

#[cfg(test)]
mod tests;
