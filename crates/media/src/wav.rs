//! A WAV file that is playable at any moment: 16-bit PCM at 16 kHz.
//!
//! Audio is written where it belongs, then the sizes in the header; what is killed in between leaves a file
//! that is a little longer than its header says, which every player takes. What was never written is a hole
//! in the file and reads as silence.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sotto_audio::{FRAME_SAMPLES, RATE};

const HEADER: u32 = 44;

/// 20 ms of all channels, interleaved.
pub(crate) type Block<const CHANNELS: usize> = [[i16; CHANNELS]; FRAME_SAMPLES];

pub(crate) struct WavFile<const CHANNELS: usize> {
    file: File,
    frames: u64,
    bytes: Vec<u8>,
}

impl<const CHANNELS: usize> WavFile<CHANNELS> {
    /// Bytes of a frame of all channels.
    const FRAME_BYTES: u64 = size_of::<Block<CHANNELS>>() as u64;

    /// Frames of a file at most: sizes in the header have 32 bits. 18 hours of two channels.
    pub(crate) const MAX_FRAMES: u64 = (u32::MAX - HEADER) as u64 / Self::FRAME_BYTES;

    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut wav = Self { file, frames: 0, bytes: Vec::new() };
        wav.write_header()?;
        Ok(wav)
    }

    /// Frames in the file.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Writes frames from the place of the first on, and the header.
    pub(crate) fn write<'a>(
        &mut self,
        first: u64,
        frames: impl Iterator<Item = &'a Block<CHANNELS>>,
    ) -> io::Result<()> {
        self.bytes.clear();
        self.bytes.extend(frames.flatten().flatten().flat_map(|sample| sample.to_le_bytes()));
        self.seek_to(first)?;
        self.file.write_all(&self.bytes)?;
        self.frames = self.frames.max(first + self.bytes.len() as u64 / Self::FRAME_BYTES);
        self.write_header()
    }

    /// A frame as it is in the file; silence where nothing was written.
    pub(crate) fn read(&mut self, frame: u64) -> io::Result<Block<CHANNELS>> {
        self.seek_to(frame)?;
        self.bytes.clear();
        (&mut self.file).take(Self::FRAME_BYTES).read_to_end(&mut self.bytes)?;
        let mut block = [[0; CHANNELS]; FRAME_SAMPLES];
        for (sample, bytes) in block.as_flattened_mut().iter_mut().zip(self.bytes.as_chunks().0) {
            *sample = i16::from_le_bytes(*bytes);
        }
        Ok(block)
    }

    fn seek_to(&mut self, frame: u64) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(u64::from(HEADER) + frame * Self::FRAME_BYTES))
    }

    /// Makes sure that all of it is on the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn write_header(&mut self) -> io::Result<()> {
        let data = u32::try_from(self.frames * Self::FRAME_BYTES).unwrap_or(u32::MAX - HEADER);
        let block = CHANNELS as u16 * 2;
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend(b"RIFF");
        header.extend((data + HEADER - 8).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16_u32.to_le_bytes());
        header.extend(1_u16.to_le_bytes());
        header.extend((CHANNELS as u16).to_le_bytes());
        header.extend(RATE.to_le_bytes());
        header.extend((RATE * u32::from(block)).to_le_bytes());
        header.extend(block.to_le_bytes());
        header.extend(16_u16.to_le_bytes());
        header.extend(b"data");
        header.extend(data.to_le_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)
    }
}
