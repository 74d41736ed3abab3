"""What a terminal shows of lines that are done."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s.cli.files import content

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
COMMAND = [sys.executable, "-m", "keras_s2s.cli", "generate", "--precision", "fp32"]


def on_terminal(*arguments: object, given: bytes = b"") -> tuple[bytes, str]:
    """Standard output, a pipe, and what stands on the terminal that is standard error."""
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        out, _ = process.communicate(given, timeout=60)
        shown = b""
        while block := read(ours):
            shown += block
    os.close(ours)
    assert process.returncode == 0
    return out, re.sub(r"\x1b\[[0-9;?]*\w", "", shown.decode())


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # The other end is closed.
        return b""


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("abc\n" * 2999 + "no end of line")
    return path


def test_lines_of_how_many_and_how_quick(echo_bundle: Path, texts: Path, tmp_path: Path) -> None:
    out, shown = on_terminal(echo_bundle, "--input", texts, "--output", tmp_path / "out")
    assert out == b""
    assert re.search(r" 3,000 of 3,000 lines, [\d,.]+ a second *\s*$", shown)
    out, shown = on_terminal(echo_bundle, "--input", texts)
    assert out == texts.read_bytes() + b"\n"
    assert " 3,000 of 3,000 lines" in shown


def test_nobody_knows_how_many_lines_a_pipe_has(echo_bundle: Path) -> None:
    out, shown = on_terminal(echo_bundle, given=b"abc\n\n")
    assert out == b"abc\n\n"
    assert re.search(r" 2 lines, [\d,.]+ a second *\s*$", shown)


def test_what_is_no_terminal_shows_nothing(process: Callable, echo_bundle: Path, texts: Path, tmp_path: Path) -> None:
    done = process("generate", echo_bundle, "--precision", "fp32", "--input", texts, "--output", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(("text", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"\n\na", 3)])
def test_the_lines_of_a_file(tmp_path: Path, text: bytes, lines: int) -> None:
    (tmp_path / "file").write_bytes(text)
    assert content(tmp_path / "file").lines == lines
