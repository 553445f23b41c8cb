//! Tests of `log_queue`.

use super::*;

use std::sync::mpsc;

use proptest::prelude::*;
use tracing_subscriber::fmt::MakeWriter;

/// Takes so many bytes, then fails for so many calls, then takes everything.
struct Disk<'a> {
    room: usize,
    failures: usize,
    taken: &'a mut Vec<u8>,
}

impl Write for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 && self.failures > 0 {
            self.failures -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = if self.failures > 0 { bytes.len().min(self.room) } else { bytes.len() };
        self.room -= taken.min(self.room);
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a disk takes of all that is queued.
fn written(queue: &LogQueue, room: usize, failures: usize) -> String {
    let mut taken = Vec::new();
    queue.close(Duration::ZERO);
    queue.write(Disk { room, failures, taken: &mut taken });
    String::from_utf8(taken).unwrap()
}

/// Writes the log of this thread into the queue while `run` runs.
fn logged<T>(queue: impl for<'a> MakeWriter<'a> + Send + Sync + 'static, run: impl Fn() -> T) -> T {
    let lines = tracing_subscriber::fmt().with_writer(queue).with_ansi(false).without_time();
    tracing::subscriber::with_default(lines.finish(), run)
}

#[test]
fn the_queue_is_limited_in_bytes_and_counts_the_lines_that_do_not_fit() {
    let queue = LogQueue::new();
    let long = format!("{}\n", "a".repeat(MOST_QUEUED / 2 - 1));
    for line in [&long, "short\n", &long, "also short\n", "two\nlines\n"] {
        queue.push(line);
    }
    assert_eq!(queue.dropped(), 1, "the second long line");
    let rest = format!("{}\n", "b".repeat(MOST_QUEUED));
    queue.push(&rest);
    assert_eq!(queue.dropped(), 2);
    queue.push(&long[..MOST_QUEUED / 2 - 28]);
    queue.push("\n");
    assert_eq!(queue.lock().lines.len(), MOST_QUEUED, "filled to the last byte");
    queue.push("x\ny\n");
    assert_eq!(queue.dropped(), 4, "two lines at once");
    assert!(written(&queue, 0, 0).starts_with(&format!("{long}short\nalso short\ntwo\nlines\naa")));
    assert!(queue.lock().lines.capacity() <= 2 * MANY, "the room is given back");
}

#[test]
fn a_line_that_was_written_in_part_ends_before_the_next_one() {
    let queue = LogQueue::new();
    queue.push(&format!("{}\n", "a".repeat(AT_ONCE)));
    queue.push("second\nthird\n");
    assert_eq!(written(&queue, 10, 1), "aaaaaaaaaa\nsecond\nthird\n");
    assert_eq!(queue.dropped(), 1);

    let queue = LogQueue::new();
    queue.push("first\nsecond\nthird\n");
    assert_eq!(written(&queue, 6, 1), "first\n", "nothing is torn at the end of a line");
    assert_eq!(queue.dropped(), 2);

    let queue = LogQueue::new();
    for _ in 0..3 {
        queue.push(&format!("{}\n", "a".repeat(AT_ONCE)));
    }
    queue.push("last\n");
    // The rest of the first line fails, and then twice its end.
    assert_eq!(written(&queue, 1, 3), "a\nlast\n");
    assert_eq!(queue.dropped(), 3);
}

#[test]
fn what_was_dropped_is_told_once_it_can_be_written() {
    static QUEUE: LogQueue = LogQueue::new();
    let long = format!("{}\n", "a".repeat(MOST_QUEUED - 1));
    for _ in 0..8 {
        QUEUE.push(&long);
    }
    let text = logged(|| &QUEUE, || written(&QUEUE, 0, 0));
    let told = text.strip_prefix(&long).unwrap();
    assert_eq!(
        told,
        " WARN echo::log_queue: log lines were not read in time, or could not be written \
         dropped_since_start=7\n"
    );
}

#[test]
fn nothing_is_told_to_a_disk_that_takes_nothing() {
    static QUEUE: LogQueue = LogQueue::new();
    QUEUE.push("first\n");
    assert_eq!(logged(|| &QUEUE, || written(&QUEUE, 0, 9)), "");
    assert_eq!(QUEUE.dropped(), 1, "only the line: there was no second try");
    QUEUE.push("second\n");
    let text = logged(|| &QUEUE, || written(&QUEUE, 0, 0));
    assert!(text.starts_with("second\n") && text.ends_with("dropped_since_start=1\n"), "{text}");
}

#[test]
fn a_reader_who_is_too_slow_for_all_lines_is_told_now_and_then() {
    static QUEUE: LogQueue = LogQueue::new();
    /// Queues a line for each that it takes, and one that does not fit.
    struct Slow(usize);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 > 0 {
                self.0 -= 1;
                QUEUE.push(&format!("{}\n", "a".repeat(AT_ONCE - 1)));
                QUEUE.push(&format!("{}\n", "a".repeat(MOST_QUEUED)));
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    static TOLD: LogQueue = LogQueue::new();
    QUEUE.push("first\n");
    QUEUE.push("second\n");
    QUEUE.close(Duration::ZERO);
    logged(|| &TOLD, || QUEUE.write(Slow(300)));
    assert_eq!(count(written(&TOLD, 0, 0).as_bytes()), 2, "after a MiB, and at the end");
}

#[test]
fn the_end_waits_for_the_last_lines_but_not_for_ever() {
    static QUEUE: LogQueue = LogQueue::new();
    struct Reader(mpsc::Receiver<()>);
    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (read, reader) = mpsc::channel();
    let writer = thread::spawn(|| QUEUE.write(Reader(reader)));
    QUEUE.push("line\n");
    QUEUE.close(Duration::from_millis(20));
    assert!(!QUEUE.lock().ended, "nobody reads");
    assert_eq!(QUEUE.lock().lines.len(), 5, "what is being written counts as waiting");
    read.send(()).unwrap();
    QUEUE.close(Duration::MAX);
    assert!(QUEUE.lock().ended && QUEUE.lock().lines.is_empty());
    writer.join().unwrap();
}

proptest! {
    #[test]
    fn every_write_holds_whole_lines_and_all_come_in_order(
        lengths in prop::collection::vec(prop_oneof![0..300_usize, 4000..4200_usize], 0..80)
    ) {
        struct Writes(Vec<Vec<u8>>);
        impl Write for &mut Writes {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.to_vec());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let queue = LogQueue::new();
        let lines = lengths.iter().enumerate().map(|(number, length)| {
            format!("{number}{}\n", "a".repeat(*length))
        });
        let lines: Vec<_> = lines.collect();
        for line in &lines {
            queue.push(line);
        }
        let mut writes = Writes(Vec::new());
        queue.close(Duration::ZERO);
        queue.write(&mut writes);
        for write in &writes.0 {
            prop_assert_eq!(write.last(), Some(&b'\n'));
            prop_assert!(write.len() <= AT_ONCE || count(write) == 1);
        }
        prop_assert_eq!(writes.0.concat(), lines.concat().into_bytes());
        prop_assert_eq!(queue.dropped(), 0);
    }
}
