"""A machine that lacks something is told of in one line."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import keras_s2s

NOWHERE = "no temporary folder can be written; set TMPDIR to one that can"
# The command line on a machine on which no temporary folder can be written.
READ_ONLY = """
import os, sys, tempfile
os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
tempfile._candidate_tempdir_list = lambda: ["/nowhere"]
from keras_s2s.cli import main
sys.exit(main())
"""


def error(number: int, *names: str) -> OSError:
    return OSError(number, os.strerror(number), *names[:1], *([None] if names[1:] else []), *names[1:])


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (error(errno.EROFS, "out"), "out: Read-only file system; choose a folder that can be written"),
        (error(errno.ENOSPC, "out"), "out: No space left on device; make room, or choose another folder"),
        (error(errno.ENOSPC, "in", "out"), "out: No space left on device; make room, or choose another folder"),
        (error(errno.EFBIG, "out"), "out: File too large; choose a folder whose files may be larger"),
        (error(errno.ENOSPC), "No space left on device; make room, or choose another folder"),
        (error(errno.EDQUOT, "out"), "out: Disk quota exceeded; make room, or choose another folder"),
        (error(errno.EACCES, "out"), "out: Permission denied; check its permissions, or choose another folder"),
    ],
)
def test_no_room_or_no_right(command: Callable, monkeypatch: pytest.MonkeyPatch, raised: OSError, line: str) -> None:
    def read(path: Path) -> None:
        raise raised

    monkeypatch.setattr(keras_s2s.cli.inspect, "read", read)
    assert command("inspect", "somewhere") == (2, "", f"keras-s2s: {line}\n")


@pytest.fixture
def read_only(echo_bundle: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a verb on a bundle, some texts and this machine."""
    (tmp_path / "texts").write_text("abc\n")

    def run(verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", READ_ONLY, verb, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


@pytest.mark.parametrize("verb", ["evaluate", "quantize"])
def test_verbs_that_need_a_temporary_folder(read_only: Callable, echo_bundle: Path, verb: str) -> None:
    texts = ["--source", "texts", "--reference", "texts"]
    done = read_only(verb, echo_bundle, *texts, *(["--precision", "fp32"] if verb == "evaluate" else []))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"keras-s2s: {NOWHERE}\n")


def test_a_verb_that_needs_none(read_only: Callable, echo_bundle: Path) -> None:
    done = read_only("generate", echo_bundle, "--precision", "fp32", "--input", "texts")
    assert (done.returncode, done.stdout, done.stderr) == (0, "abc\n", "")


def test_a_server_says_how_large_its_copy_is(read_only: Callable, echo_bundle: Path) -> None:
    done = read_only("serve", echo_bundle, "--precision", "fp32", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"keras-s2s: {echo_bundle}: a server works with a copy, and none can be made: "
        "No usable temporary directory found in ['/nowhere']; "
        "set TMPDIR to a folder that can be written and has 1 MB free\n"
    )
