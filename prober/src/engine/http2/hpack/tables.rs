//! The tables of HPACK (RFC 7541, 2.3). Pure.

use std::collections::VecDeque;

/// The static table (appendix A); its first entry has the index 1.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// What an entry of a table counts beside its bytes (RFC 7541, 4.1).
pub(super) const OVERHEAD: usize = 32;
/// A buffer of more bytes is not kept.
const LARGE: usize = 1 << 16;

/// A field in the bytes of a [`DynamicTable`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<K> {
    /// Counted from the first byte that the table ever had.
    start: usize,
    name: usize,
    value: usize,
    /// What the field is to the user of the table.
    pub kind: K,
}

impl<K> Entry<K> {
    pub(super) fn size(&self) -> usize {
        self.name + self.value + OVERHEAD
    }
}

/// The dynamic table. Its fields lie one after another in one buffer, so that a new one needs no
/// allocation; a field that is not indexed lies there while it is looked at.
#[derive(Debug)]
pub(super) struct DynamicTable<K> {
    /// The newest first.
    entries: VecDeque<Entry<K>>,
    bytes: Vec<u8>,
    /// How many bytes were dropped from the front of `bytes`.
    dropped: usize,
    size: usize,
    most: usize,
}

impl<K: Copy> DynamicTable<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: Vec::new(), dropped: 0, size: 0, most }
    }

    /// An entry by its index in this table, from 0.
    pub(super) fn get(&self, index: usize) -> Option<Entry<K>> {
        self.entries.get(index).copied()
    }

    pub(super) fn name(&self, entry: &Entry<K>) -> &[u8] {
        let start = entry.start - self.dropped;
        &self.bytes[start..start + entry.name]
    }

    pub(super) fn value(&self, entry: &Entry<K>) -> &[u8] {
        let start = entry.start - self.dropped + entry.name;
        &self.bytes[start..start + entry.value]
    }

    /// Drops the bytes that no entry has any more, if they are many.
    pub(super) fn compact(&mut self) {
        let live = self.entries.back().map_or(self.bytes.len(), |last| last.start - self.dropped);
        if live > self.most.max(1024) {
            self.bytes.drain(..live);
            self.dropped += live;
        }
        if self.bytes.capacity() > LARGE {
            self.bytes.shrink_to(LARGE);
        }
    }

    /// How many bytes there are: where the next part of a new field starts.
    pub(super) fn mark(&self) -> usize {
        self.bytes.len()
    }

    /// Appends to the new field.
    pub(super) fn append(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends the name of another entry to the new field.
    pub(super) fn repeat_name(&mut self, entry: &Entry<K>) {
        let start = entry.start - self.dropped;
        self.bytes.extend_from_within(start..start + entry.name);
    }

    /// The field whose name starts at the mark `name`, and its value at the mark `value`.
    pub(super) fn field(&self, name: usize, value: usize, kind: K) -> Entry<K> {
        let start = name + self.dropped;
        Entry { start, name: value - name, value: self.bytes.len() - value, kind }
    }

    /// Takes the new field into the table.
    pub(super) fn insert(&mut self, entry: Entry<K>) {
        if entry.size() > self.most {
            self.resize(self.most, self.most);
            return;
        }
        self.resize(self.most, entry.size());
        self.size += entry.size();
        self.entries.push_front(entry);
    }

    /// Removes the bytes of a new field that is not taken into the table.
    pub(super) fn forget(&mut self, name: usize) {
        self.bytes.truncate(name);
    }

    /// Sets the most that the table holds, and makes `room` in it.
    pub(super) fn resize(&mut self, most: usize, room: usize) {
        self.most = most;
        while self.size + room > most {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size();
        }
    }
}
