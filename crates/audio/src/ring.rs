//! The ring between the media path and everything that listens to it: lock-free, one writer, one reader.
//!
//! The writer never waits: when the reader is behind by the whole ring, frames are dropped and counted. The
//! reader sees where: the index of the next frame jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ringbuf::HeapRb;
use ringbuf::traits::{Consumer, Observer, Producer, Split};

use crate::{FRAME_MS, Frame};

/// A ring that holds `capacity_ms` of audio.
#[must_use]
pub fn ring(capacity_ms: u64) -> (Writer, Reader) {
    let frames = usize::try_from(capacity_ms.div_ceil(FRAME_MS).max(1)).unwrap_or(usize::MAX);
    let (producer, consumer) = HeapRb::new(frames).split();
    let dropped = Arc::new(AtomicU64::new(0));
    (Writer { producer, dropped: dropped.clone() }, Reader { consumer, dropped })
}

/// The media path's end. Dropping it tells the reader that no more will come.
pub struct Writer {
    producer: ringbuf::HeapProd<Frame>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Hands a frame over, or counts it as dropped when the ring is full. Never waits, never allocates.
    pub fn push(&mut self, frame: Frame) {
        if self.producer.try_push(frame).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// True when the next [`push`](Self::push) would drop its frame: for sources that can wait, such as files.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.producer.is_full()
    }

    /// False once the reader is gone.
    #[must_use]
    pub fn has_reader(&self) -> bool {
        self.producer.read_is_held()
    }
}

/// The listener's end.
pub struct Reader {
    consumer: ringbuf::HeapCons<Frame>,
    dropped: Arc<AtomicU64>,
}

impl Reader {
    /// The next frame, if one has come.
    pub fn pop(&mut self) -> Option<Frame> {
        self.consumer.try_pop()
    }

    /// Frames waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.consumer.occupied_len()
    }

    /// Throws away what waits, and counts it as dropped.
    pub fn discard(&mut self) {
        while self.pop().is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frames dropped so far because this reader was behind.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// True once the writer is gone and everything it wrote has been read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // In this order: a frame pushed just before the writer went away must not be missed.
        !self.consumer.write_is_held() && self.consumer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_drops_and_counts_and_the_reader_sees_the_gap() {
        let (mut writer, mut reader) = ring(40);
        for index in 0..3 {
            writer.push(Frame::silence(index));
        }
        assert_eq!(reader.dropped(), 1);
        assert_eq!(reader.pop().unwrap().index, 0);
        writer.push(Frame::silence(3));
        assert_eq!(reader.pop().unwrap().index, 1);
        assert_eq!(reader.pop().unwrap().index, 3);
        assert!(!reader.is_finished());
        drop(writer);
        assert!(reader.is_finished());
    }

    #[test]
    fn what_a_reader_throws_away_counts_as_dropped() {
        let (mut writer, mut reader) = ring(40);
        (0..3).for_each(|index| writer.push(Frame::silence(index)));
        reader.discard();
        assert_eq!((reader.dropped(), reader.waiting()), (3, 0));
        writer.push(Frame::silence(3));
        assert_eq!(reader.pop().unwrap().index, 3);
    }

    #[test]
    fn nothing_written_before_the_writer_went_away_is_lost() {
        for _ in 0..50 {
            let (mut writer, mut reader) = ring(2_000);
            let sender = std::thread::spawn(move || (0..100).for_each(|i| writer.push(Frame::silence(i))));
            let mut next = 0;
            while !reader.is_finished() {
                while let Some(frame) = reader.pop() {
                    assert_eq!(frame.index, next);
                    next += 1;
                }
            }
            sender.join().unwrap();
            assert_eq!(next, 100);
        }
    }
}
