"""Speech: recordings, or features of them, and their transcripts.

soundfile reads the recordings: it knows WAV of every sample format, FLAC and Ogg, gives each the same scale, and
refuses what is corrupt, where scipy reads WAV alone and leaves the scale to its caller.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_s2s.data.files import Location, read_lines
from keras_s2s.data.pairs import Pair, Pairs
from keras_s2s.data.readers import READERS, Reader, Surroundings
from keras_s2s.data.readers.audio_containers import check_frames, whole
from keras_s2s.errors import UserError

Features = Callable[[np.ndarray, int], np.ndarray]

_BLOCK = 1 << 16


@READERS.register
class RecordingsReader(Reader):
    """Recordings and their transcripts, see `read_recordings`.

    Args:
        recordings: the manifest.
    """

    key: ClassVar[str] = "recordings"
    is_speech: ClassVar[bool] = True
    recordings: str

    def read(self, around: Surroundings) -> Iterator[Pair]:
        """Reads the recordings and makes the features that `data.log_mel` describes."""
        return recording_pairs(around.place(self.recordings), around.features)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """The manifest and all that it names."""
        return _files(around.place(self.recordings))


@READERS.register
class FeaturesReader(Reader):
    """Features and their transcripts, see `read_features`.

    Args:
        features: the manifest.
    """

    key: ClassVar[str] = "features"
    is_speech: ClassVar[bool] = True
    features: str

    def read(self, around: Surroundings) -> Iterator[Pair]:
        """Reads the features."""
        return feature_pairs(around.place(self.features))

    def files(self, around: Surroundings) -> Sequence[Path]:
        """The manifest and all that it names."""
        return _files(around.place(self.features))


def read_recordings(manifest: Location, features: Features) -> Pairs:
    """Reads recordings and makes their features.

    Args:
        manifest: a TSV file of lines `file TAB transcript`; more columns are not read. Files are relative to it.
        features: from the samples (N,) float32 in -1 to 1 of one channel and their rate in Hz to (S, F) float32,
            such as `audio.LogMel`.

    Raises:
        UserError: as `read_lines`; a line has no transcript; a recording (named) is corrupt, empty or has several
            channels; `features` refuses it.
    """
    return Pairs.of(recording_pairs(manifest, features))


def recording_pairs(manifest: Location, features: Features) -> Iterator[Pair]:
    """The pairs that `read_recordings` reads, one after the other; the manifest is read first."""
    for file, transcript in _manifest(Path(manifest)):
        yield Pair(_features(file, features), transcript)


def read_features(manifest: Location) -> Pairs:
    """Reads features from `.npy` files.

    Args:
        manifest: as for `read_recordings`; each file holds an array (S, F) of floats.

    Raises:
        UserError: as `read_lines`; a file (named) is no such array, is empty, has a NaN or an infinity in it, or
            another F than the first one.
    """
    return Pairs.of(feature_pairs(manifest))


def feature_pairs(manifest: Location) -> Iterator[Pair]:
    """The pairs that `read_features` reads, one after the other; the manifest is read first."""
    width: int | None = None
    for file, transcript in _manifest(Path(manifest)):
        array = _array(file, width)
        width = array.shape[1]
        yield Pair(array, transcript)


def read_samples(path: Path) -> tuple[np.ndarray, int]:
    """The samples (N,) float32 of a recording, and their rate in Hz.

    Reads every format that libsndfile reads. A file that is cut short is refused if its format says how long it is:
    WAV of any sample format (also EXTENSIBLE, RF64 and W64), AIFF, AIFC, 8SVX, AU, CAF, SPHERE, FLAC, Ogg (the last
    page is marked), and MP3 with a tag (Xing, Info or VBRI) that counts frames. A file without a length, as programs
    write it to a pipe, is read to its end; so are SPHERE without `sample_count` and MP3 without such a tag, cut or
    not. Sizes of nearly 2 or 4 GiB are what such programs write, and count as none. Nor is a cut noticed in AVR,
    IRCAM, MAT4, MAT5, MPC2K, PAF, PVF, SDS, VOC, WVE and XI.

    Raises:
        UserError: it cannot be read, is corrupt or cut short, has several channels, or no samples.
    """
    import soundfile

    if not path.is_file():
        raise UserError(f"{path}: cannot be read: no such file; check the name")
    if path.suffix.lower() == ".raw":
        raise UserError(f"{path}: raw samples do not say how they are to be read; convert them to WAV")
    try:
        samples, rate = _read(path)  # (N, channels)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the file") from None
    except soundfile.SoundFileError as error:
        raise UserError(f"{path}: not a recording, or corrupt: {' '.join(str(error).split())}") from None
    if samples.shape[1] != 1:
        raise UserError(f"{path}: {samples.shape[1]} channels; expected one, so mix them")
    if not len(samples):
        raise UserError(f"{path}: no samples; leave it out")
    if not np.isfinite(samples).all():
        raise UserError(f"{path}: a sample is NaN or infinite; record or convert it again")
    return samples[:, 0], rate


def _read(path: Path) -> tuple[np.ndarray, int]:
    """All samples (N, channels) float32, and their rate."""
    with _forward()(whole(path)) as file:
        blocks = [file.read(_BLOCK, dtype="float32", always_2d=True)]
        while len(blocks[-1]) == _BLOCK:
            blocks.append(file.read(_BLOCK, dtype="float32", always_2d=True))
        samples = np.concatenate(blocks)
        check_frames(path, file.format, file.frames, len(samples))
        return samples, file.samplerate


@functools.cache
def _forward() -> Any:
    """Opens a file and never seeks in it, because libsndfile cannot in a FLAC file without a length."""
    import soundfile

    class Forward(soundfile.SoundFile):
        def seekable(self) -> bool:
            return False

    return Forward


def _features(path: Path, features: Features) -> np.ndarray:
    samples, rate = read_samples(path)
    try:
        made = features(samples, rate)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return np.asarray(made, np.float32)


def _array(path: Path, width: int | None) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or 'cut short'}; check the file") from None
    except (ValueError, EOFError):
        raise UserError(f"{path}: not a .npy file of numbers, or corrupt; write it again") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        raise UserError(f"{path}: expected an array (S, F) of floats")
    if not array.size:
        raise UserError(f"{path}: no features: its shape is {array.shape}; leave it out")
    if width is not None and array.shape[1] != width:
        raise UserError(f"{path}: {array.shape[1]} features a frame, but the first file has {width}")
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        raise UserError(f"{path}: frame {wrong[0][0]}: feature {wrong[0][1]} is NaN or infinite; make this file again")
    return array.astype(np.float32)


def _files(manifest: Path) -> list[Path]:
    return [manifest, *(file for file, _ in _manifest(manifest))]


def _manifest(path: Path) -> list[tuple[Path, str]]:
    """Files and their transcripts."""
    lines = read_lines(path)
    if not lines:
        raise UserError(f"{path}: no lines; give at least one")
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise UserError(f"{path}: line {number}: no TAB; expected file TAB transcript")
    return [(path.parent / row[0], row[1]) for row in rows]
