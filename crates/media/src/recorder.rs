//! The recording of a call: a thread of its own that empties rings into a file, so that a slow disk slows
//! nothing else.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use sotto_audio::{FRAME_MS, FRAME_SAMPLES, Frame, Reader, bend};
use sotto_call::{Millis, Party};
use tokio::sync::oneshot;

use crate::Totals;
use crate::wav::{Block, WavFile};

/// How often what has come is written: the most that a kill loses.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// Frames that can still be completed by a party that is behind: 4 s.
const OPEN_FRAMES: usize = 200;

/// Samples in a millisecond.
const PER_MS: u64 = FRAME_SAMPLES as u64 / FRAME_MS;

/// Records calls to two-channel WAV files: agent left, customer right. What supervisors say is a third channel, in
/// a file of its own: the first two stay what every player and every replay takes them for, and most calls
/// never have a third, which their header would have to know at the start.
///
/// All files of a call are on its clock, and are there once there is something to write. What comes before
/// that in a file is a hole, which reads as silence and takes no room on the disk.
pub struct Recorder;

impl Recorder {
    /// Begins to write what comes out of the readers. A party without a reader is silent; someone who is
    /// neither agent nor customer is heard on the channel that has nobody, or on the customer's.
    ///
    /// Disk errors never stop the call: they are counted, writing is tried again, and what could not be
    /// written is silence in the file.
    pub fn start(path: PathBuf, readers: impl IntoIterator<Item = (Party, Reader)>) -> RecorderHandle {
        Self::spawn::<2>(Builder::new(), path, readers)
    }

    /// Begins to write what comes out of readers that are added, mixed into one channel: what supervisors say.
    #[must_use]
    pub fn start_mixed(path: PathBuf) -> RecorderHandle {
        Self::spawn::<1>(Builder::new(), path, [])
    }

    fn spawn<const CHANNELS: usize>(
        thread: Builder,
        path: PathBuf,
        readers: impl IntoIterator<Item = (Party, Reader)>,
    ) -> RecorderHandle {
        let (orders, received) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let recording = Thread::<CHANNELS> {
            path: path.clone(),
            file: None,
            tracks: Vec::new(),
            base: 0,
            open: VecDeque::with_capacity(OPEN_FRAMES),
            dirty: 0,
            muted: Vec::new(),
            to_mute: Vec::new(),
            counters: counters.clone(),
        };
        let started = thread.name("recorder".into()).spawn(move || recording.run(&received));
        if let Err(error) = &started {
            tracing::error!(%error, path = %path.display(), "no thread for the recording");
            counters.fail();
        }
        let handle =
            RecorderHandle { path, orders, counters, thread: started.ok(), unwritten: Mutex::default() };
        for (party, reader) in readers {
            handle.add(party, reader);
        }
        handle
    }
}

/// What a recording has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Length of the file.
    pub duration_ms: u64,
    /// Audio of one party or the other that did not get into it.
    pub dropped_ms: u64,
    /// Failed attempts to write.
    pub errors: u64,
    /// The latest attempt has failed, and is made again; or there is no thread, and nothing is written.
    pub is_failing: bool,
}

/// A finished recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingInfo {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub duration_ms: u64,
    /// Audio of one party or the other that did not get into it: the disk failed or was too slow.
    pub dropped_ms: u64,
    /// Failed attempts to write.
    pub errors: u64,
}

/// A recording in progress. When it is dropped, the recording goes on until all writers are gone.
pub struct RecorderHandle {
    path: PathBuf,
    orders: mpsc::Sender<Order>,
    counters: Arc<Counters>,
    /// Absent when it could not be started. While this handle is there it ends only by a panic.
    thread: Option<JoinHandle<()>>,
    /// What it could not be given: nobody reads these.
    unwritten: Mutex<Vec<Reader>>,
}

/// Makes parts of a recording silent while it goes on. Cheap to clone.
#[derive(Clone)]
pub struct Muter {
    orders: mpsc::Sender<Order>,
}

impl Muter {
    /// From now on there is silence in a party's channel between two times of the call, whatever is there already or still
    /// comes. It is in the file with the next write; when that fails, it is tried again with every write until the end.
    ///
    /// The party is one that has joined. Whoever shares its channel is silent as well.
    pub fn mute(&self, party: Party, times: Range<Millis>) {
        // Fails when the recording is over, or could not be begun.
        let _ = self.orders.send(Order::Mute(party, times));
    }
}

enum Order {
    Add(Party, Reader),
    Mute(Party, Range<Millis>),
    Finish(oneshot::Sender<()>),
}

#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
    is_failing: AtomicBool,
}

impl Counters {
    /// So many frames of one party or the other are not in the file.
    fn drop_frames(&self, frames: u64) {
        self.dropped.fetch_add(frames, Ordering::Relaxed);
        Totals::add_dropped(frames);
    }

    /// An attempt to write has failed.
    fn fail(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        Totals::add_error();
    }
}

impl RecorderHandle {
    /// Another party has joined.
    pub fn add(&self, party: Party, reader: Reader) {
        if let Err(mpsc::SendError(Order::Add(_, reader))) = self.orders.send(Order::Add(party, reader)) {
            self.unwritten().push(reader);
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What makes parts of it silent.
    #[must_use]
    pub fn muter(&self) -> Muter {
        Muter { orders: self.orders.clone() }
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let unwritten: u64 = self.unwritten().iter().map(frames).sum();
        let dropped = self.counters.dropped.load(Ordering::Relaxed) + unwritten;
        let is_alone = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        RecorderStats {
            duration_ms: self.counters.frames.load(Ordering::Relaxed) * FRAME_MS,
            dropped_ms: dropped * FRAME_MS,
            errors: self.counters.errors.load(Ordering::Relaxed),
            is_failing: is_alone || self.counters.is_failing.load(Ordering::Relaxed),
        }
    }

    /// Writes what has come until now, closes the file and waits until it is on the disk.
    pub async fn finish(self) -> RecordingInfo {
        let (done, finished) = oneshot::channel();
        if self.orders.send(Order::Finish(done)).is_ok() {
            let _ = finished.await;
        }
        let unwritten: Vec<Reader> = std::mem::take(&mut *self.unwritten());
        self.counters.drop_frames(unwritten.iter().map(frames).sum());
        let RecorderStats { duration_ms, dropped_ms, errors, .. } = self.stats();
        RecordingInfo { path: self.path, duration_ms, dropped_ms, errors }
    }
}

/// The frames that were written to a ring of which nothing was read.
fn frames(reader: &Reader) -> u64 {
    reader.waiting() as u64 + reader.dropped()
}

struct Track {
    party: Party,
    channel: usize,
    reader: Reader,
    /// The next frame, read ahead.
    next: Option<Frame>,
    dropped: u64,
}

/// A part of a channel that is silent.
#[derive(Clone)]
struct Mute {
    channel: usize,
    /// On the call's clock.
    samples: Range<u64>,
}

impl Mute {
    /// The frames that it touches.
    fn frames(&self) -> Range<u64> {
        self.samples.start / FRAME_SAMPLES as u64..self.samples.end.div_ceil(FRAME_SAMPLES as u64)
    }

    /// Silences what lies in a frame.
    fn silence<const CHANNELS: usize>(&self, index: u64, block: &mut Block<CHANNELS>) {
        let first = index * FRAME_SAMPLES as u64;
        let within = |sample: u64| sample.saturating_sub(first).min(FRAME_SAMPLES as u64) as usize;
        for samples in &mut block[within(self.samples.start)..within(self.samples.end)] {
            samples[self.channel] = 0;
        }
    }
}

struct Thread<const CHANNELS: usize> {
    path: PathBuf,
    file: Option<WavFile<CHANNELS>>,
    tracks: Vec<Track>,
    /// The place of the first frame in `open`.
    base: u64,
    /// The newest frames, which a party that is behind may still complete.
    open: VecDeque<Block<CHANNELS>>,
    /// How many of them are in the file as they are.
    dirty: usize,
    muted: Vec<Mute>,
    /// Of these, the ones that what is in the file and no longer open is still to be rid of.
    to_mute: Vec<Mute>,
    counters: Arc<Counters>,
}

impl<const CHANNELS: usize> Thread<CHANNELS> {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        loop {
            let order = orders.recv_timeout(WRITE_EVERY);
            match order {
                Ok(Order::Add(party, reader)) => {
                    self.add(party, reader);
                    continue;
                }
                Ok(Order::Mute(party, times)) => {
                    self.mute(party, &times);
                    continue;
                }
                Ok(Order::Finish(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(WRITE_EVERY),
            }
            let is_over = self.tracks.iter().all(|track| track.reader.is_finished());
            self.collect();
            self.write();
            match order {
                Ok(Order::Finish(done)) => {
                    self.close();
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Disconnected) if is_over => {
                    self.close();
                    return;
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, party: Party, reader: Reader) {
        let is_free = |channel| self.tracks.iter().all(|track: &Track| track.channel != channel);
        let channel = match party {
            Party::Agent => 0,
            Party::Customer => 1,
            Party::Other => usize::from(!is_free(0) || is_free(1)),
        };
        let channel = channel.min(CHANNELS - 1);
        self.tracks.push(Track { party, channel, reader, next: None, dropped: 0 });
    }

    fn mute(&mut self, party: Party, times: &Range<Millis>) {
        if times.is_empty() {
            return;
        }
        let samples = times.start.0.saturating_mul(PER_MS)..times.end.0.saturating_mul(PER_MS);
        for channel in 0..CHANNELS {
            if !self.tracks.iter().any(|track| (track.party, track.channel) == (party, channel)) {
                continue;
            }
            let mute = Mute { channel, samples: samples.clone() };
            for index in mute.frames().start.max(self.base)..mute.frames().end {
                let at = (index - self.base) as usize;
                let Some(block) = self.open.get_mut(at) else { break };
                mute.silence(index, block);
                self.dirty = self.dirty.min(at);
            }
            self.to_mute.push(mute.clone());
            self.muted.push(mute);
        }
    }

    /// Empties the rings, always the oldest frame first: after a slow disk there may be more in one than fits
    /// between it and the other.
    fn collect(&mut self) {
        loop {
            let ahead = self.tracks.iter_mut().filter_map(|track| {
                track.next = track.next.take().or_else(|| track.reader.pop());
                Some((track.next.as_ref()?.index, track))
            });
            let Some((_, track)) = ahead.min_by_key(|(index, _)| *index) else { break };
            let channel = track.channel;
            if let Some(frame) = track.next.take() {
                self.place(channel, &frame);
            }
        }
        for track in &mut self.tracks {
            let dropped = track.reader.dropped();
            self.counters.drop_frames(dropped - track.dropped);
            track.dropped = dropped;
        }
    }

    fn place(&mut self, channel: usize, frame: &Frame) {
        let is_late = frame.index < self.base;
        if is_late || frame.index >= WavFile::<CHANNELS>::MAX_FRAMES {
            let is_kept = is_late && self.amend(channel, frame).is_ok();
            self.counters.drop_frames(u64::from(!is_kept));
            return;
        }
        if frame.index - self.base >= OPEN_FRAMES as u64 {
            self.make_room(frame.index);
        }
        let at = (frame.index - self.base) as usize;
        if self.open.len() <= at {
            self.open.resize(at + 1, [[0; CHANNELS]; FRAME_SAMPLES]);
        }
        self.dirty = self.dirty.min(at);
        if let Some(block) = self.open.get_mut(at) {
            mix(block, channel, frame);
            self.muted.iter().for_each(|mute| mute.silence(frame.index, block));
        }
    }

    /// Mixes a frame into what is in the file already: of a party that was held up for longer than frames are kept
    /// open, as on a machine that stood still for some seconds.
    fn amend(&mut self, channel: usize, frame: &Frame) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut block = file.read(frame.index)?;
        mix(&mut block, channel, frame);
        self.muted.iter().for_each(|mute| mute.silence(frame.index, &mut block));
        file.write(frame.index, std::iter::once(&block))
    }

    /// Closes the oldest frames so that one at `index` can be open.
    fn make_room(&mut self, index: u64) {
        self.write();
        // Half, so that this is not done for every frame.
        let base = index - OPEN_FRAMES as u64 / 2;
        let closed = usize::try_from(base - self.base).unwrap_or(usize::MAX).min(self.open.len());
        self.counters.drop_frames(closed.saturating_sub(self.dirty) as u64);
        if closed > self.dirty {
            // They may be in the file as they were before they were muted.
            self.to_mute.clone_from(&self.muted);
        }
        self.open.drain(..closed);
        self.dirty = self.dirty.saturating_sub(closed);
        self.base = base;
    }

    /// Writes what is not in the file yet. After an error it stays, to be tried again.
    fn write(&mut self) {
        let written = self.try_write();
        let was_failing = self.counters.is_failing.swap(written.is_err(), Ordering::Relaxed);
        match written {
            Err(error) => {
                self.counters.fail();
                if !was_failing {
                    tracing::error!(%error, path = %self.path.display(), "recording cannot be written");
                }
            }
            Ok(()) if was_failing => {
                tracing::info!(path = %self.path.display(), "recording is written again");
            }
            Ok(()) => {}
        }
    }

    fn try_write(&mut self) -> io::Result<()> {
        // It takes no room, so it works on a full disk as well.
        let muted = self.mute_written();
        if self.dirty == self.open.len() {
            return muted;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(WavFile::create(&self.path)?),
        };
        file.write(self.base + self.dirty as u64, self.open.iter().skip(self.dirty))?;
        self.dirty = self.open.len();
        self.counters.frames.store(file.frames(), Ordering::Relaxed);
        muted
    }

    /// Mutes what is in the file and no longer open.
    fn mute_written(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            self.to_mute.clear();
            return Ok(());
        };
        while let Some(mute) = self.to_mute.last() {
            let Range { start, end } = mute.frames();
            for index in start..end.min(self.base).min(file.frames()) {
                let mut block = file.read(index)?;
                mute.silence(index, &mut block);
                file.write(index, std::iter::once(&block))?;
            }
            self.to_mute.pop();
        }
        Ok(())
    }

    fn close(&mut self) {
        let unwritten = self.open.len() - self.dirty;
        self.counters.drop_frames(unwritten as u64);
        if !self.to_mute.is_empty() {
            self.counters.fail();
            tracing::error!(path = %self.path.display(), "a recording holds what should be silent in it");
        }
        if let Some(Err(error)) = self.file.as_mut().map(WavFile::sync) {
            self.counters.fail();
            tracing::error!(%error, path = %self.path.display(), "recording may not be on the disk");
        }
    }
}

fn mix<const CHANNELS: usize>(block: &mut Block<CHANNELS>, channel: usize, frame: &Frame) {
    for (out, sample) in block.iter_mut().zip(frame.samples) {
        // Whoever is alone on a channel is there as they were.
        let heard = match out[channel] {
            0 => sample,
            before => bend(f32::from(before) / 32_767.0 + sample),
        };
        out[channel] = (heard * 32_767.0).round() as i16;
    }
}

#[cfg(test)]
mod tests {
    use sotto_audio::ring;

    use super::*;

    /// More than there are addresses for.
    fn no_thread() -> Builder {
        Builder::new().stack_size(1 << 48)
    }

    #[tokio::test]
    async fn without_a_thread_it_is_failing_and_all_audio_is_lost() {
        let path = PathBuf::from("/nowhere/call.wav");
        let (mut agent, agents) = ring(200);
        let (mut customer, customers) = ring(200);
        let recorder = Recorder::spawn::<2>(no_thread(), path, [(Party::Agent, agents)]);
        recorder.add(Party::Customer, customers);
        assert!(recorder.stats().is_failing);
        // More than the ring holds.
        for index in 0..30 {
            agent.push(Frame::silence(index));
        }
        customer.push(Frame::silence(0));
        let info = recorder.finish().await;
        assert_eq!((info.duration_ms, info.dropped_ms, info.errors), (0, 31 * FRAME_MS, 1));
    }
}
