"""Outputs that a killed run leaves behind, on their own and by real kills."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.cli.output_form import Tally
from keras_s2s.cli.unfinished import check_finished, journal_of, unfinished

LINES = [f"line {number}\n".encode() * (number % 3) for number in range(10)]
WHOLE = b"".join(LINES)
MADE_OF = {"input": {"lines": 10}, "--beam-size": 4, "--scores": True}


class Killed(Exception):
    pass


def write(path: Path, end: int = len(LINES), fresh: bool = False) -> int:
    """Writes the lines that are not written yet; at `end` something happens. Gives the number of the first."""
    with unfinished(path, MADE_OF, 2, fresh) as output:
        first = output.lines
        for number, line in enumerate(LINES[first:end], first):
            output.write(line, 1, Tally(1, number % 2))
        if end < len(LINES):
            raise Killed
        assert output.tally == Tally(len(LINES), len(LINES) // 2)
    return first


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def left(path: Path) -> tuple[bytes, bytes]:
    """Output and journal of a run that wrote seven lines, and marked six of them."""
    with pytest.raises(Killed):
        write(path, 7)
    return path.read_bytes(), journal_of(path).read_bytes()


def test_a_run_that_ends_leaves_the_output_alone(path: Path) -> None:
    assert write(path) == 0
    assert path.read_bytes() == WHOLE
    assert not journal_of(path).exists()
    assert write(path) == 0  # A finished one is written again.
    assert path.read_bytes() == WHOLE


def test_it_goes_on_at_the_last_mark(path: Path, left: tuple[bytes, bytes]) -> None:
    assert write(path) == 6
    assert path.read_bytes() == WHOLE
    assert not journal_of(path).exists()


def test_the_journal_may_be_cut_anywhere(path: Path, left: tuple[bytes, bytes]) -> None:
    output, journal = left
    firsts = set()
    for cut in range(len(journal) + 1):
        path.write_bytes(output)
        journal_of(path).write_bytes(journal[:cut])
        with pytest.raises(Killed):
            write(path, 9)  # What stands behind a cut is overwritten, so a second cut does not matter.
        firsts.add(write(path))
        assert path.read_bytes() == WHOLE
    assert firsts == {8}


@pytest.mark.parametrize("tail", [b"", b"li", b"line 8\nline 8\nline 8\nline 8\nline 8\n\xff"])
def test_the_output_may_end_anywhere_after_the_mark(path: Path, left: tuple[bytes, bytes], tail: bytes) -> None:
    marked = b"".join(LINES[:6])
    assert left[0].startswith(marked)
    path.write_bytes(marked + tail)
    assert write(path) == 6
    assert path.read_bytes() == WHOLE


def test_a_journal_that_lost_power_in_a_mark(path: Path, left: tuple[bytes, bytes]) -> None:
    last = left[1].splitlines(keepends=True)[-1]
    journal_of(path).write_bytes(left[1].removesuffix(last) + b"\0" * (len(last) - 1) + b"\n")
    assert write(path) == 4
    assert path.read_bytes() == WHOLE


def test_fresh_begins_anew(path: Path, left: tuple[bytes, bytes]) -> None:
    assert write(path, fresh=True) == 0
    assert path.read_bytes() == WHOLE


def test_an_output_that_lost_something(path: Path, left: tuple[bytes, bytes]) -> None:
    path.write_bytes(left[0][:3])
    with pytest.raises(UserError, match=r"out: unfinished, and shorter than it was; --fresh begins anew$"):
        write(path)
    assert path.read_bytes() == left[0][:3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"lines": 11}}, "begun with another input;"),
        ({"input": None, "--seed": 3}, "begun with another input, no --seed;"),
        ({"--beam-size": None}, "begun with --beam-size 4;"),
        ({"--seed": 0}, "begun with no --seed;"),
        ({"--allow-unknown": False}, "begun with no --allow-unknown;"),
        ({"--scores": False}, "begun with --scores;"),
    ],
)
def test_what_makes_it_must_be_the_same(
    path: Path, left: tuple[bytes, bytes], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message), unfinished(path, MADE_OF | changes, 2, fresh=False):
        pass
    assert (path.read_bytes(), journal_of(path).read_bytes()) == left


def test_a_file_that_is_no_journal(path: Path) -> None:
    journal_of(path).write_text("mine\n")
    with pytest.raises(UserError, match="begun with something unknown"):
        write(path)
    assert journal_of(path).read_text() == "mine\n"


def test_an_output_without_a_journal(path: Path, left: tuple[bytes, bytes]) -> None:
    with pytest.raises(UserError, match=r"out: unfinished, .* --fresh$"):
        check_finished(path, fresh=False)
    check_finished(path, fresh=True)
    check_finished(path, fresh=False)


@pytest.mark.skipif(sys.platform == "win32", reason="there nothing hinders them")
def test_two_do_not_write_one_output(path: Path) -> None:
    with unfinished(path, MADE_OF, 2, fresh=False) as output:
        output.write(b"one\n", 1, Tally(1))
        for fresh in (False, True):
            with pytest.raises(UserError, match="out: another process is writing it"):
                write(path, fresh=fresh)
    assert path.read_bytes() == b"one\n"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("".join(f"abc {number}\n" if number % 7 else "\n" for number in range(8_000)))
    return path


SAMPLES = ["--strategy", "sample", "--n-best", "3", "--scores"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills by SIGKILL")
@pytest.mark.parametrize(
    ("options", "lines", "shares"),
    [
        ([], 8000, [0.01, 0.3, 0.6]),
        ([*SAMPLES, "--batch-size", "64"], 8000, [0.3]),
        ([*SAMPLES, "--mbr", "exact_match"], 2500, [0.3]),
        (["--strategy", "greedy", "--prefix", "prefixes"], 8000, [0.3]),
    ],
    ids=["plain", "samples", "minimum_bayes_risk", "prefixes"],
)
def test_killed_runs_lose_and_repeat_nothing(
    many_graphs_bundle: Path,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    process: Callable,
    kill: Callable,
    options: list[str],
    lines: int,
    shares: list[float],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prefixes").write_text("".join(f"{number}\n" for number in range(lines)))
    Path("some").write_bytes(b"".join(texts.read_bytes().splitlines(keepends=True)[:lines]))
    arguments = [many_graphs_bundle, "--precision", "fp32", "--input", "some", *options, "--output"]
    assert process("generate", *arguments, "whole").returncode == 0
    expected, output = Path("whole").read_bytes(), Path("out")
    for share in shares:
        kill(output, int(share * len(expected)), "generate", *arguments, output)
    # What is kept is not written again: a letter that is another one stays so.
    output.write_bytes(b"?" + output.read_bytes()[1:])
    done = process("generate", *arguments, output)
    assert (done.returncode, done.stderr) == (0, b"")
    assert output.read_bytes() == b"?" + expected[1:]
    assert not journal_of(output).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by SIGKILL")
def test_another_command_is_refused(
    echo_bundle: Path,
    many_graphs_bundle: Path,
    texts: Path,
    tmp_path: Path,
    command: Callable,
    process: Callable,
    kill: Callable,
) -> None:
    output, other = tmp_path / "out", tmp_path / "other.txt"
    other.write_bytes(texts.read_bytes() + b"one more\n")

    def arguments(bundle: Path = many_graphs_bundle, given: object = texts, extra: int = 20, *more: object) -> list:
        options = ["--precision", "fp32", "--strategy", "greedy", "--max-length-extra", extra]
        return [bundle, *options, "--input", given, "--output", output, *more]

    kill(output, 1, "generate", *arguments())
    left = output.read_bytes(), journal_of(output).read_bytes()
    others = {
        "another bundle": arguments(bundle=echo_bundle),
        "another input": arguments(given=other),
        "--max-length-extra 20": arguments(extra=30),
        "no prefix, no --scores": [*arguments(), "--scores", "--prefix", other],
        "no --no-repeat-ngram": [*arguments(), "--no-repeat-ngram", 0],
        "no --shortlist": [*arguments(), "--no-shortlist"],
    }
    for differing, another in others.items():
        code, out, err = command("generate", *another)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"out: unfinished, and begun with {differing}; repeat that command to go on, or begin anew" in err
    piped = process("generate", *arguments(given="-"), given=b"abc\n")
    assert (piped.returncode, piped.stderr.count(b"\n")) == (2, 1)
    assert b"out: unfinished, and begun with another input" in piped.stderr
    assert (output.read_bytes(), journal_of(output).read_bytes()) == left
    piped = process("generate", *arguments(given="-"), "--fresh", given=b"abc\n")
    assert (piped.returncode, output.read_bytes()) == (0, b"abc\n")
    assert not journal_of(output).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by SIGKILL")
def test_cores_may_be_others(echo_bundle: Path, texts: Path, tmp_path: Path, command: Callable, kill: Callable) -> None:
    output = tmp_path / "out"
    arguments = [echo_bundle, "--precision", "fp32", "--input", texts, "--output", output]
    kill(output, 1, "generate", *arguments, "--threads", 1)
    assert command("generate", *arguments, "--threads", 3) == (0, "", "")
    assert output.read_bytes() == texts.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C is no signal to one process")
def test_ctrl_c_leaves_what_the_same_command_goes_on_with(
    echo_bundle: Path, texts: Path, tmp_path: Path, command: Callable, kill: Callable
) -> None:
    output = tmp_path / "out"
    arguments = [echo_bundle, "--precision", "fp32", "--input", texts, "--output", output]
    ended = kill(output, 1, "generate", *arguments, by=signal.SIGINT)
    assert ended == (130, b"keras-s2s: interrupted\n")
    assert command("generate", *arguments) == (0, "", "")
    assert output.read_bytes() == texts.read_bytes()
