#!/usr/bin/env bash
# datasets 5.2.0 (pyarrow 26.0.1): strings of a JSON file do not come back as strings.
#
# Expected: in JSON a string is a string and a number is a number, so `load_dataset` gives back what stands in the file.
#
# Seen, on lines of JSON whose fields are strings as in `{"text": "2020-01-01"}`:
#
#     every string of the column is an ISO date    datetime.datetime(2020, 1, 1, 0, 0)
#     one of them is no date                       '2020-01-01'
#     the column has "001" and the number 1        1 and 1: the string "001" became a number
#
# So what a string becomes depends on the other rows. `features={"text": Value("string")}` does not give the text back
# either: the date comes as '2020-01-01 00:00:00'. To have the texts, read the files with `json`.
#
# Run: `bash findings/datasets_json_strings.sh`. It installs the versions above in a temporary folder, needs no network
# but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1
cd "$folder"
PYTHONPATH= HF_HOME="$folder" HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import datetime
import json
from pathlib import Path

import datasets

datasets.disable_progress_bars()

def loaded(name: str, values: list, **options) -> list:
    folder = Path(name)
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": value}) + "\n" for value in values))
    return list(datasets.load_dataset(str(folder.absolute()), split="train", **options)["text"])

midnight = datetime.datetime(2020, 1, 1)
strings = datasets.Features({"text": datasets.Value("string")})
seen = {
    "only dates": (loaded("dates", ["2020-01-01", "2020-01-01"]), [midnight, midnight]),
    "one is no date": (loaded("words", ["2020-01-01", "word"]), ["2020-01-01", "word"]),
    "dates, read as strings": (loaded("features", ["2020-01-01"], features=strings), ["2020-01-01 00:00:00"]),
    "a string and a number": (loaded("mixed", ["001", 1]), [1, 1]),
}
for what, (found, expected) in seen.items():
    print(f"{what}: {found}")
    assert found == expected, f"{what}: expected {expected}"
PYTHON
