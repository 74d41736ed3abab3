#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): FLAC that does not say how long it is cannot be read, whole or in blocks.
#
# A FLAC file may leave its number of samples open: `flac`, FFmpeg and SoX do when they write to a pipe.
#
# Expected: `soundfile.read` reads it to its end, or `SoundFile.read` does, some frames at a time.
#
# Seen, for 20,000 samples:
#
#     SoundFile.frames                   9223372036854775807
#     soundfile.read                     ValueError: array is too big; ...
#     SoundFile.read(3000), repeated     six blocks, then LibsndfileError: Internal psf_fseek() failed.
#     soundfile.blocks(blocksize=3000)   the same: the last 2,000 samples cannot be had
#
# libsndfile decodes such a file to its end. soundfile seeks after each read, to where the file is already, and at the end
# of a file without a length libsndfile cannot. A subclass whose `seekable` returns False reads all of it.
#
# Run: `bash findings/soundfile_flac_without_length.sh`. It installs the versions above in a temporary folder, needs no
# network but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
cd "$folder"
PYTHONPATH= "$folder/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import numpy as np
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__
tone = 0.5 * np.sin(np.arange(20_000) * 0.2)
soundfile.write("a.flac", tone, 16_000)
content = bytearray(Path("a.flac").read_bytes())
content[21] &= 0xF0  # The 36 bits of the number of samples in STREAMINFO; 0 is "not known".
content[22:26] = bytes(4)
Path("a.flac").write_bytes(content)

def read_all() -> str:
    try:
        return f"{len(soundfile.read('a.flac')[0])} samples"
    except ValueError as error:
        return f"ValueError: {error}"[:28]

def read_blocks(kind: type) -> str:
    count = 0
    with kind("a.flac") as file:
        try:
            while samples := len(file.read(3000)):
                count += samples
        except soundfile.SoundFileError as error:
            return f"{count} samples, then {error}"
    return f"{count} samples"

def iterate_blocks() -> str:
    count = 0
    try:
        for block in soundfile.blocks("a.flac", blocksize=3000):
            count += len(block)
    except soundfile.SoundFileError as error:
        return f"{count} samples, then {error}"
    return f"{count} samples"

class Forward(soundfile.SoundFile):
    def seekable(self) -> bool:
        return False

seen = {
    "frames": (soundfile.info("a.flac").frames, 2**63 - 1),
    "soundfile.read": (read_all(), "ValueError: array is too big"),
    "SoundFile.read": (read_blocks(soundfile.SoundFile), "18000 samples, then Internal psf_fseek() failed."),
    "soundfile.blocks": (iterate_blocks(), "18000 samples, then Internal psf_fseek() failed."),
    "without seeking": (read_blocks(Forward), "20000 samples"),
}
for what, (found, expected) in seen.items():
    print(f"{what}: {found}")
    assert found == expected, f"{what}: expected {expected}"
PYTHON
