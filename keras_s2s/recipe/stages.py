"""Stages of a run that are not repeated: each has a folder, and knows what it was made from."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

_RECORD = "stage.json"


def stage(folder: Path, made_from: Any, work: Callable[[Path], object], say: Callable[[str], None]) -> str:
    """Does the work of a stage, unless it was finished before from the same things.

    A stage that was interrupted is called again with its folder as it was; one that was made from other things
    starts with an empty folder.

    Args:
        folder: the stage's own.
        made_from: whatever its result depends on, as plain data.
        work: does it, in the folder.
        say: is told in a line what happens.

    Returns:
        A fingerprint of `made_from`, for the stages that depend on this one.
    """
    fingerprint = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    record = folder / _RECORD
    before = json.loads(record.read_text()) if record.exists() else {}
    same = before.get("fingerprint") == fingerprint
    if same and before["finished"]:
        say(f"{folder.name}: done before")
        return fingerprint
    if folder.exists() and not same:
        # First the record: an interruption here must not leave half a stage that says it is finished.
        record.unlink(missing_ok=True)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"{folder.name}: {'going on' if same else 'started'}")
    _write(record, {"fingerprint": fingerprint, "finished": False})
    work(folder)
    _write(record, {"fingerprint": fingerprint, "finished": True})
    return fingerprint


def _write(record: Path, content: dict[str, Any]) -> None:
    beside = record.with_name(f"new.{_RECORD}")
    beside.write_text(json.dumps(content))
    beside.replace(record)
