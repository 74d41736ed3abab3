"""Speech from real files, good and bad."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from keras_s2s.audio import LogMel
from keras_s2s.data import Pairs, read_features, read_recordings
from keras_s2s.data.readers.recordings import read_samples
from keras_s2s.errors import UserError

LOG_MEL = LogMel(sample_rate=8000, bins=20)


def tone(path: Path, samples: int = 1200, **options) -> np.ndarray:
    values = 0.5 * np.sin(np.arange(samples) * 0.2).astype("float32")
    soundfile.write(path, values, 8000, **options)
    return values


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_U8"), ("wav", "FLOAT"), ("flac", None)]
)
def test_samples_of_any_format_have_one_scale(tmp_path: Path, suffix: str, subtype: str | None) -> None:
    expected = tone(tmp_path / f"a.{suffix}", subtype=subtype)
    samples, rate = read_samples(tmp_path / f"a.{suffix}")
    assert (rate, samples.dtype) == (8000, np.float32)
    np.testing.assert_allclose(samples, expected, atol=0.01)


def test_recordings_and_transcripts(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    one, two = tone(tmp_path / "below" / "a.wav"), tone(tmp_path / "b.wav", 3000, subtype="FLOAT")
    (tmp_path / "m.tsv").write_text("below/a.wav\tone\tspeaker\nb.wav\ttwo words\n")
    pairs = read_recordings(tmp_path / "m.tsv", LOG_MEL)
    assert pairs.targets == ["one", "two words"]
    assert pairs.has_features
    assert [x.shape for x in pairs.sources] == [(LOG_MEL.frames(1200), 20), (LOG_MEL.frames(3000), 20)]
    np.testing.assert_allclose(pairs.sources[1], LOG_MEL(two, 8000), atol=1e-4)
    assert len(one) == 1200


def spoil(path: Path, how: str) -> None:
    tone(path)
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "text":
        path.write_text("no sound")
    elif how == "nothing":
        path.write_bytes(b"")
    elif how == "gone":
        path.unlink()
    elif how == "stereo":
        soundfile.write(path, np.zeros((100, 2)), 8000)
    elif how == "silent":
        soundfile.write(path, np.zeros(0), 8000)
    elif how == "rate":
        soundfile.write(path, np.zeros(100), 16000)
    elif how == "nan":
        soundfile.write(path, np.array([0, np.nan, 0], "float32"), 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "cut short: 1178 of 2400 bytes of samples; copy this file again"),
        ("text", "not a recording, or corrupt: "),
        ("nothing", "not a recording, or corrupt: "),
        ("gone", "cannot be read: no such file; check the name"),
        ("stereo", "2 channels; expected one, so mix them"),
        ("silent", "no samples; leave it out"),
        ("rate", "recorded at 16000 Hz, but sample_rate is 8000; "),
        ("nan", "a sample is NaN or infinite; "),
    ],
)
def test_a_bad_recording_is_named(tmp_path: Path, how: str, message: str) -> None:
    tone(tmp_path / "good.wav")
    spoil(tmp_path / "bad.wav", how)
    (tmp_path / "m.tsv").write_text("good.wav\tone\nbad.wav\ttwo\n")
    with pytest.raises(UserError, match=rf"^{tmp_path}/bad\.wav: {message}") as error:
        read_recordings(tmp_path / "m.tsv", LOG_MEL)
    assert "\n" not in str(error.value)


def test_raw_samples_are_named(tmp_path: Path) -> None:
    tone(tmp_path / "a.raw", format="RAW", subtype="PCM_16")
    with pytest.raises(UserError, match=rf"^{tmp_path}/a\.raw: raw samples do not say how they are to be read; "):
        read_samples(tmp_path / "a.raw")


def test_features_from_files(tmp_path: Path) -> None:
    for name, dtype in (("a", "float32"), ("b", "float64")):
        np.save(tmp_path / f"{name}.npy", np.arange(6, dtype=dtype).reshape(3, 2))
    (tmp_path / "m.tsv").write_text("a.npy\tone\nb.npy\ttwo\n")
    pairs = read_features(tmp_path / "m.tsv")
    assert pairs.targets == ["one", "two"]
    assert [(x.dtype, x.shape) for x in pairs.sources] == [(np.float32, (3, 2))] * 2


NAN = np.zeros((4, 3), "float32")
NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (NAN, "frame 2: feature 1 is NaN or infinite; make this file again"),
        (np.full((2, 3), np.inf), "frame 0: feature 0 is NaN or infinite"),
        (np.zeros((0, 3)), "no features: its shape is"),
        (np.zeros(3), "expected an array .* of floats"),
        (np.zeros((3, 3), int), "expected an array .* of floats"),
        (np.zeros((3, 4)), "4 features a frame, but the first file has 3"),
        (np.array([["a"]], object), "not a .npy file of numbers, or corrupt"),
        (b"text", "not a .npy file of numbers, or corrupt"),
        (b"", "not a .npy file of numbers, or corrupt"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9, 3)}\n", "not a .npy|cannot be"),
    ],
)
def test_a_bad_feature_file_is_named(tmp_path: Path, array, message: str) -> None:
    np.save(tmp_path / "good.npy", np.zeros((2, 3), "float32"))
    if isinstance(array, bytes):
        (tmp_path / "bad.npy").write_bytes(array)
    else:
        np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    (tmp_path / "m.tsv").write_text("good.npy\tone\nbad.npy\ttwo\n")
    with pytest.raises(UserError, match=rf"^{tmp_path}/bad\.npy: {message}"):
        read_features(tmp_path / "m.tsv")


def test_a_manifest_without_transcripts(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_text("a.wav\n")
    with pytest.raises(UserError, match=r"m\.tsv: line 1: no TAB; expected file TAB transcript"):
        read_recordings(tmp_path / "m.tsv", LOG_MEL)


def test_pairs_of_features_have_a_known_form() -> None:
    assert not Pairs(["a"], ["b"]).has_features
    assert not Pairs([], []).has_features
