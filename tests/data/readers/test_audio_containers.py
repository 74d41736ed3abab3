"""Whole files and cut ones of every format that libsndfile writes; and files whose header has no length."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_s2s.data.readers.recordings import read_samples
from keras_s2s.errors import UserError

RATE = 8000
# An even number: libsndfile takes the byte that pads an odd one for a sample.
TONE = (0.5 * np.sin(np.arange(40_000) * 0.2)).astype("float32")
UNCHECKED = {"AVR", "IRCAM", "MAT4", "MAT5", "MPC2K", "PAF", "PVF", "SDS", "VOC", "WVE", "XI"}
LOSSY = {"ULAW", "ALAW", "VORBIS", "OPUS", "MPEG_LAYER_III", "GSM610"}
CANNOT_BE_WRITTEN = {("AIFF", "DWVW_12"), ("WAV", "MPEG_LAYER_III"), ("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")}
FORMATS = [
    (form, subtype)
    for form in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(form)
    # RAW has no header, and SD2 has it in another file.
    if form not in {"RAW", "SD2"} and (form, subtype) not in CANNOT_BE_WRITTEN
]


def written(folder: Path, form: str, subtype: str | None = None) -> Path:
    """A recording of `TONE`, one frame a sample."""
    path = folder / f"a.{form.lower()}"
    soundfile.write(path, TONE, RATE, format=form, subtype=subtype)
    return path


def cut(path: Path, length: int) -> Path:
    short = path.with_name(f"cut{path.suffix}")
    short.write_bytes(path.read_bytes()[:length])
    return short


def agrees(path: Path) -> None:
    samples, rate = read_samples(path)
    assert rate == RATE
    np.testing.assert_allclose(samples, TONE, atol=2e-4)


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_a_whole_file_is_read_and_half_of_it_is_refused(tmp_path: Path, form: str, subtype: str) -> None:
    path = written(tmp_path, form, subtype)
    samples, rate = read_samples(path)
    assert rate == (44_100 if form == "XI" else RATE)
    # Codecs that work in blocks fill the last one.
    assert len(TONE) <= len(samples) <= len(TONE) + 1100
    if form != "SDS" and subtype not in LOSSY and "ADPCM" not in subtype and not subtype.startswith("G72"):
        np.testing.assert_allclose(samples[: len(TONE)], TONE, atol=0.02 if "8" in subtype else 2e-4)
    half = cut(path, path.stat().st_size // 2)
    if form in UNCHECKED and (form, subtype) != ("VOC", "PCM_U8"):
        assert re.search(rf"\b{form}\b", str(read_samples.__doc__))
        assert len(read_samples(half)[0]) <= len(samples)
    else:
        with pytest.raises(UserError, match=rf"^{half}: (cut short|not a recording, or corrupt): [^\n]+$"):
            read_samples(half)


SPEECH = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "FLAC", "OGG", "MP3")


@pytest.mark.parametrize("form", SPEECH)
def test_a_file_is_refused_wherever_it_is_cut(tmp_path: Path, form: str) -> None:
    path = written(tmp_path, form)
    size = path.stat().st_size
    for length in (1, 3, 13, 40, 60, *range(100, size, size // 23), size - 3, size - 2, size - 1):
        with pytest.raises(UserError, match=rf"^{tmp_path}/cut\.{form.lower()}: [^\n]+$"):
            read_samples(cut(path, length))


@pytest.mark.parametrize(("form", "endian"), [("WAV", "BIG"), ("AIFF", "LITTLE"), ("AU", "LITTLE"), ("NIST", "BIG")])
def test_the_order_of_bytes(tmp_path: Path, form: str, endian: str) -> None:
    path = tmp_path / f"a.{form.lower()}"
    soundfile.write(path, TONE, RATE, format=form, subtype="PCM_16", endian=endian)
    agrees(path)
    with pytest.raises(UserError, match=r"cut short: \d+ of 80000 bytes of samples; copy this file again$"):
        read_samples(cut(path, path.stat().st_size // 2))


def test_a_cut_file_is_named_with_what_is_there(tmp_path: Path) -> None:
    path = written(tmp_path, "WAV", "FLOAT")
    with pytest.raises(
        UserError, match=r"cut\.wav: cut short: 159000 of 160000 bytes of samples; copy this file again$"
    ):
        read_samples(cut(path, path.stat().st_size - 1000))
    path = written(tmp_path, "OGG")
    with pytest.raises(UserError, match=r"cut\.ogg: cut short: its last page is missing; copy this file again$"):
        read_samples(cut(path, path.stat().st_size - 1000))


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """A chunk of RIFF, padded to an even number of bytes."""
    return name + struct.pack("<I", len(content) if size is None else size) + content + bytes(len(content) % 2)


PCM = (TONE * 32767).astype("<i2").tobytes()
BYTES = ((TONE + 1) * 127.5).astype("u1").tobytes()[:-1]


def wav(
    data: bytes = PCM, bits: int = 16, riff: int | None = None, size: int | None = None, more: bytes = b""
) -> bytes:
    """A WAV file with a chunk before `fmt ` and others before and after `data`."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * bits // 8, bits // 8, bits)
    chunks = chunk(b"JUNK", b"odd") + chunk(b"fmt ", form) + chunk(b"LIST", b"INFO") + chunk(b"data", data, size) + more
    return b"RIFF" + struct.pack("<I", len(chunks) + 4 if riff is None else riff) + b"WAVE" + chunks


def test_chunks_around_the_samples_and_bytes_that_pad_them(tmp_path: Path) -> None:
    path, more = tmp_path / "a.wav", chunk(b"LIST", b"INFO and so on.") + chunk(b"bext", bytes(700))
    path.write_bytes(wav(more=more))
    agrees(path)
    # All samples are there as long as the chunk `data` is whole.
    path.write_bytes(wav(more=more)[:-300])
    agrees(path)
    for content in (wav(BYTES, bits=8, more=more), wav(BYTES, bits=8), wav(BYTES, bits=8)[:-1]):
        path.write_bytes(content)
        assert len(read_samples(path)[0]) == len(TONE) - 1
    path.write_bytes(wav(BYTES, bits=8)[:-2])
    with pytest.raises(UserError, match="cut short: 39998 of 39999 bytes of samples"):
        read_samples(path)


def test_a_file_without_samples_is_no_stream(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(b"", more=chunk(b"LIST", b"INFO and so on.")))
    with pytest.raises(UserError, match=r"a\.wav: no samples; leave it out"):
        read_samples(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("riff", "size"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),  # FFmpeg
        (0x7FFFF024, 0x7FFFF000),  # SoX, eSpeak NG
        (0x7FFFF048, 0x7FFFEFFF),  # SoX, whole frames of 24 bits
        (0x7FFF0024, 0x7FFF0000),  # GStreamer
        (0x7FFFFFFF, 0x7FFFFFFF - 44),
        (0x80000024, 0x80000000),  # arecord
        (0xFFFFFFFF, 0xFFFFFFFF - 36),
        (0xFFFFFFFF, 0),
        (36, 0),  # Python's wave
        (0, 0),
    ],
)
def test_wav_from_a_pipe_is_read_to_its_end(tmp_path: Path, riff: int, size: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(riff=riff, size=size))
    agrees(tmp_path / "a.wav")


@pytest.mark.parametrize("size", [len(PCM) + 2, 2_000_000_000, 3_000_000_000, 4_000_000_000])
def test_a_large_size_is_a_size(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav(riff=size + 36, size=size))
    with pytest.raises(UserError, match=rf"a\.wav: cut short: 80000 of {size} bytes of samples; copy this file again"):
        read_samples(tmp_path / "a.wav")


def overwrite(path: Path, form: str, *changes: tuple[bytes, int, int]) -> None:
    """Writes numbers of the form `form`, each so many bytes after the end of a name in the header."""
    content = bytearray(path.read_bytes())
    for name, offset, number in changes:
        struct.pack_into(form, content, content.index(name) + len(name) + offset, number)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("form", "number", "changes"),
    [
        ("RF64", "<Q", [(b"ds64", 4, 0), (b"ds64", 12, 0), (b"ds64", 20, 0)]),  # FFmpeg
        ("RF64", "<Q", [(b"ds64", 4, 2**64 - 1), (b"ds64", 12, 2**64 - 1), (b"ds64", 20, 2**64 - 1)]),
        ("W64", "<Q", [(b"riff", 12, 2**64 - 1), (b"data", 12, 2**63 - 1)]),  # FFmpeg
        ("W64", "<Q", [(b"riff", 12, 0), (b"data", 12, 24)]),
        ("AIFF", ">I", [(b"FORM", 0, 0), (b"COMM", 6, 0), (b"SSND", 0, 0)]),  # FFmpeg
        ("AIFF", ">I", [(b"FORM", 0, 0x7F000050), (b"COMM", 6, 0x3F800000), (b"SSND", 0, 0x7F000008)]),  # SoX
        ("AU", ">I", [(b".snd", 4, 0xFFFFFFFF)]),
        ("AU", ">I", [(b".snd", 4, 0)]),
        ("CAF", ">Q", [(b"data", 0, 2**64 - 1)]),  # FFmpeg
    ],
)
def test_other_files_from_a_pipe_are_read_to_their_end(tmp_path: Path, form: str, number: str, changes: list) -> None:
    path = written(tmp_path, form, "PCM_16")
    overwrite(path, number, *changes)
    agrees(path)


def test_sphere_without_a_count_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, "NIST", "PCM_16")
    path.write_bytes(path.read_bytes().replace(b"sample_count -i 40000\n", b"speaker_id -s7 someone"))
    agrees(path)
    assert len(read_samples(cut(path, 1024 + 2000))[0]) == 1000


def test_flac_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, "FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # The 36 bits of the number of samples.
    content[22:26] = bytes(4)
    path.write_bytes(content)
    agrees(path)
    half = cut(path, len(content) // 2)
    with pytest.raises(UserError, match=rf"^{half}: not a recording, or corrupt: [^\n]+$"):
        read_samples(half)


def test_gsm_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, "WAV", "GSM610")
    whole, _ = read_samples(path)
    overwrite(path, "<I", (b"RIFF", 0, 0xFFFFFFFF), (b"data", 0, 0xFFFFFFFF))
    samples, _ = read_samples(path)
    np.testing.assert_array_equal(samples[:40_000], whole[:40_000])


def test_mp3_without_a_count_of_frames_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, "MP3")
    content = path.read_bytes()
    assert b"Info" in content[:64] or b"Xing" in content[:64]
    path.write_bytes(content[:36].replace(b"Info", bytes(4)).replace(b"Xing", bytes(4)) + content[36:])
    assert 1000 < len(read_samples(cut(path, len(content) // 2))[0]) < 39_000
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + content)
    assert len(read_samples(tagged)[0]) == len(TONE)
    with pytest.raises(UserError, match=r"cut short: \d+ of 40000 samples"):
        read_samples(cut(tagged, len(content) // 2))


def test_a_header_that_stands_in_a_file_twice(tmp_path: Path) -> None:
    path = written(tmp_path, "W64", "PCM_16")
    overwrite(path, "<Q", (b"riff", 12, 0), (b"data", 12, 23))
    content = path.read_bytes()
    start = content.index(b"data") + 24
    path.write_bytes(content[:start] + content)
    with pytest.raises(UserError, match=r"a\.w64: its header stands in it twice, as SoX writes it to a pipe; "):
        read_samples(path)
