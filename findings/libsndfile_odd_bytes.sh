#!/usr/bin/env bash
# libsndfile 1.2.2 (soundfile 0.14.0): an odd number of 8-bit samples comes back from AIFF as one more.
#
# Chunks of AIFF and WAV have an even number of bytes; one of an odd number is followed by a byte that belongs to nobody.
#
# Expected: 4,001 samples that are written and read again are 4,001, whatever the format.
#
# Seen, for 4,001 samples of one channel:
#
#     AIFF, PCM_S8, PCM_U8, ULAW or ALAW    4002: the byte of padding is read as a sample
#     WAV, PCM_U8, ULAW or ALAW             4001
#     W64, GSM610                           4160: 13 blocks of 320
#     WAV, GSM610                           4480: 13 blocks of 65 bytes are odd, so a 14th is read that was never written
#
# So labels by the sample, and a comparison of a copy with its original, are off at the end of a file. With an even number
# of samples, or 16 bits, AIFF gives back what was written.
#
# Run: `bash findings/libsndfile_odd_bytes.sh`. It installs the versions above in a temporary folder, needs no network
# but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
cd "$folder"
PYTHONPATH= "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import soundfile

SEEN = {
    ("AIFF", "PCM_S8"): 4002,
    ("AIFF", "PCM_U8"): 4002,
    ("AIFF", "ULAW"): 4002,
    ("AIFF", "ALAW"): 4002,
    ("AIFF", "PCM_16"): 4001,
    ("WAV", "PCM_U8"): 4001,
    ("WAV", "ULAW"): 4001,
    ("WAV", "ALAW"): 4001,
    ("W64", "GSM610"): 4160,
    ("WAV", "GSM610"): 4480,
}

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__
tone = 0.5 * np.sin(np.arange(4001) * 0.2)
for (form, subtype), expected in SEEN.items():
    soundfile.write("a", tone, 8000, format=form, subtype=subtype)
    samples, _ = soundfile.read("a")
    print(f"{form} {subtype}: {len(samples)} samples")
    assert len(samples) == expected, f"{form} {subtype}: expected {expected}"
PYTHON
