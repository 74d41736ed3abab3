import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keras_s2s import UserError, text
from keras_s2s.cli.length_penalty import length_penalty_options
from keras_s2s.cli.search import SearchOptions
from keras_s2s.runtime import Generator, Options

COMMAND = [sys.executable, "-m", "keras_s2s.cli", "generate", "--precision", "fp32"]


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended after a minute, so that one that does not answer fails its test."""
    pipe = subprocess.PIPE
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as running:
        watchdog = threading.Timer(60, running.kill)
        watchdog.start()
        try:
            yield running
        finally:
            watchdog.cancel()
            running.kill()


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A short one and an empty one."""
    path = tmp_path / "lines"
    path.write_bytes(b"abc\n\n")
    return path


def test_a_line_in_a_line_out_in_order(process: Callable, echo_bundle: Path) -> None:
    texts = [b"ab"[: n % 3] + str(n).encode() * (n % 7) for n in range(1500)]
    assert b"" in texts
    given = b"\xef\xbb\xbf" + b"\r\n".join(texts)  # no end of line after the last
    done = process("generate", echo_bundle, "--precision", "fp32", given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"".join(text + b"\n" for text in texts)


def test_only_a_newline_ends_a_line(process: Callable, echo_bundle: Path) -> None:
    given = "ab\u2028cd\x0be\x85f\rg\n".encode()
    done = process("generate", echo_bundle, "--precision", "fp32", given=given)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 1)


def test_a_line_is_answered_before_the_next_is_sent(echo_bundle: Path) -> None:
    with started(echo_bundle) as running:
        assert running.stdin and running.stdout and running.stderr
        for line in (b"abc\n", b"\n", b"de f\n"):
            running.stdin.write(line)
            running.stdin.flush()
            assert running.stdout.readline() == line
        running.stdin.close()
        assert running.wait() == 0
        assert (running.stdout.read(), running.stderr.read()) == (b"", b"")


@pytest.mark.skipif(os.name == "nt", reason="there a reader that leaves is another error")
def test_a_reader_that_leaves_ends_it_quietly(echo_bundle: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.write_bytes(b"abc\n" * 50_000)
    with started(echo_bundle, "--input", many) as running:
        assert running.stdout and running.stderr
        assert running.stdout.readline() == b"abc\n"
        running.stdout.close()
        assert running.wait() == 141
        assert running.stderr.read() == b""


@pytest.mark.skipif(os.name == "nt", reason="there Ctrl-C is no signal to one process")
def test_ctrl_c_ends_it_in_a_line(echo_bundle: Path) -> None:
    with started(echo_bundle) as running:
        assert running.stdin and running.stdout and running.stderr
        running.stdin.write(b"abc\n")
        running.stdin.flush()
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert running.wait() == 130
        assert running.stderr.read() == b"keras-s2s: interrupted\n"


# The scores of the bundle: -rank - 10 * length_penalty - 100 * length_penalty_base - beam_size, by default 0.5, 2, 4.
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "abc\n\n"),
        (["--scores"], "-210.000000\tabc\n0.000000\t\n"),
        (["--n-best", "2"], "1\tabc\n1\tabc\n2\t\n"),
        (["--n-best", "2", "--scores"], "1\t-210.000000\tabc\n1\t-211.000000\tabc\n2\t0.000000\t\n"),
        (["--scores", "--beam-size", "2"], "-208.000000\tabc\n0.000000\t\n"),
        (["--scores", "--beam-size", "1", "--threads", "1"], "-3.000000\tabc\n0.000000\t\n"),
        (["--scores", "--length-penalty", "0.25"], "-207.500000\tabc\n0.000000\t\n"),
        (["--scores", "--length-penalty", "gnmt:0.6"], "-511.000000\tabc\n0.000000\t\n"),
        (["--scores", "--length-penalty", "average"], "-15.000000\tabc\n0.000000\t\n"),
        (["--scores", "--length-penalty", "none"], "-205.000000\tabc\n0.000000\t\n"),
    ],
)
def test_options_and_formats(
    command: Callable, echo_bundle: Path, lines: Path, options: list[str], expected: str
) -> None:
    done = command("generate", echo_bundle, "--precision", "fp32", "--input", lines, *options)
    assert done == (0, expected, "")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [([], False), (["--n-best", "2"], False), (["--scores"], True), (["--token-scores", "--beam-size", "1"], True)],
)
def test_scores_are_asked_for_where_they_are_written(
    command: Callable,
    echo_bundle: Path,
    lines: Path,
    options: list[str],
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, plan = [], Generator.plan

    def noted(self: Generator, given: Any, prefixed: bool) -> Any:
        asked.append(given["scores"])
        return plan(self, given, prefixed)

    monkeypatch.setattr(Generator, "plan", noted)
    code, _, err = command("generate", echo_bundle, "--precision", "fp32", "--input", lines, *options)
    assert (code, err) == (0, "")
    assert set(asked) == {wanted}


# The scores of its graph of samples: -100 * top_k - 10 * temperature - top_p - min_p - the first random number.
@pytest.mark.parametrize(
    ("options", "hundreds"),
    [([], -11), (["--temperature", "0.5", "--top-k", "4", "--top-p", "0.5", "--min-p", "0.25"], -405.75)],
)
def test_samples(command: Callable, many_graphs_bundle: Path, lines: Path, options: list[str], hundreds: float) -> None:
    arguments = ["generate", many_graphs_bundle, "--precision", "fp32", "--input", lines, "--strategy", "sample"]
    arguments += ["--scores", "--n-best", "2", *options]
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [(row[0], row[2]) for row in rows] == [("1", "ab"), ("1", "abc"), ("2", "")]
    assert all(hundreds - 1 < float(row[1]) <= hundreds for row in rows[:2])
    assert command(*arguments, "--seed", "1")[1] == out
    assert command(*arguments, "--seed", "2")[1] != out


def test_token_scores_stand_before_the_text(command: Callable, many_graphs_bundle: Path, lines: Path) -> None:
    options = ["--precision", "fp32", "--input", lines, "--strategy", "sample", "--token-scores"]
    code, out, _ = command("generate", many_graphs_bundle, *options)
    assert (code, out) == (0, "-0.500000 -0.250000\tab\n\t\n")
    _, out, _ = command("generate", many_graphs_bundle, *options, "--scores")
    assert [field.count(".") for field in out.splitlines()[0].split("\t")] == [1, 2, 0]


def test_minimum_bayes_risk_chooses_one(command: Callable, many_graphs_bundle: Path, lines: Path) -> None:
    options = ["--precision", "fp32", "--input", lines, "--strategy", "sample", "--n-best", "3"]
    _, every, _ = command("generate", many_graphs_bundle, *options, "--scores")
    code, out, err = command("generate", many_graphs_bundle, *options, "--scores", "--mbr", "exact_match")
    assert (code, err) == (0, "")
    # Of ab, abc, abc the second.
    assert [f"{number}\t{line}" for number, line in enumerate(out.splitlines(), 1)] == every.splitlines()[1::2]


# The scores of its constrained graph: -1000 * the sum of suppressed ids - 100 * penalty - 10 * n-gram - min_length
# - 1 if unknown tokens are allowed.
def test_constraints(process: Callable, many_graphs_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "prefixes").write_bytes(b"x\r\n\nyz\n")
    greedy = ["--precision", "fp32", "--strategy", "greedy", "--scores"]
    done = process("generate", many_graphs_bundle, *greedy, "--prefix", tmp_path / "prefixes", given=b"abc\nde\nf\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line.split(b"\t")[1] for line in done.stdout.splitlines()] == [b"xabc", b"de", b"yzf"]
    options = ["--min-length", "3", "--no-repeat-ngram", "2", "--repetition-penalty", "1.5", "--no-unknown"]
    done = process("generate", many_graphs_bundle, *greedy, *options, given=b"abc\n")
    assert done.stdout == b"-173.000000\tabc\n"
    suppress = ["--suppress", "a", "--suppress", "aa"]
    done = process("generate", many_graphs_bundle, *greedy, *suppress, given=b"abc\n")
    a = text.Tokenizer.load(many_graphs_bundle / "source.model").encode(["a"])[0][0]
    assert done.stdout == f"-{3000 * a + 101}.000000\tabc\n".encode()


@pytest.mark.parametrize(
    ("prefixes", "message"),
    [("x\n", "prefix: there is none for text 2"), ("x\n\ny\n", "prefixes: has more lines than the input")],
)
def test_other_numbers_of_prefixes(
    command: Callable, many_graphs_bundle: Path, lines: Path, prefixes: str, message: str
) -> None:
    path = lines.with_name("prefixes")
    path.write_text(prefixes)
    options = ["--precision", "fp32", "--strategy", "greedy", "--input", lines, "--prefix", path]
    code, _, err = command("generate", many_graphs_bundle, *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_unknown_tokens_are_replaced(command: Callable, many_graphs_bundle: Path, lines: Path) -> None:
    lines.write_text("aßc\n")
    options = ["--precision", "fp32", "--input", lines]
    assert command("generate", many_graphs_bundle, *options)[1] != "aßc\n"
    assert command("generate", many_graphs_bundle, *options, "--replace-unknown") == (0, "aßc\n", "")


def test_options_of_the_search_are_those_of_the_runtime() -> None:
    names = {field.name for field in dataclasses.fields(SearchOptions)} - {"mbr"}
    # How long sources may be is `strict`; an alignment is no text; a base comes with its penalty; a verb knows whether
    # it writes scores.
    assert names == set(Options.model_fields) - {"strict", "alignment", "length_penalty_base", "scores"}
    assert set(SearchOptions().of_generator()) <= set(Options.model_fields)


def test_a_bundle_s_n_best_does_not_change_the_format(command: Callable, edited_bundle: Callable, lines: Path) -> None:
    decoding = {
        "strategy": "beam",
        "beam_size": 4,
        "length_penalty": 0.5,
        "length_penalty_base": 2,
        "n_best": 3,
        "max_length_factor": 1,
        "max_length_extra": 10,
    }
    path = edited_bundle(decoding=decoding)
    assert command("generate", path, "--precision", "fp32", "--input", lines) == (0, "abc\n\n", "")


@pytest.mark.parametrize("word", ["gnmt", "gnmt:", "gnmt:x", "x", "", "average:1"])
def test_a_length_penalty_that_says_nothing(word: str) -> None:
    with pytest.raises(UserError, match=r"expected a number such as 0\.6, gnmt:0\.6, average or none"):
        length_penalty_options(word)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam-size", "0"], "'--beam-size': "),
        (["--n-best", "0"], "'--n-best': "),
        (["--n-best", "9"], "generate: n_best: expected at most the beam size, 4, got 9"),
        (["--threads", "0"], "'--threads': "),
        (["--length-penalty", "long"], "'--length-penalty': expected a number such as"),
        (["--length-penalty", "nan"], "generate: length_penalty: .*finite"),
        (["--strategy", "hot"], "generate: strategy: no strategy 'hot'; there are greedy, beam, diverse, sample, "),
        (["--own", "alpha=0.7"], "generate: own: the bundle has no options of its own; leave it out"),
        (["--own", "alpha"], "'--own': expected NAME=VALUE, the value a number, true or false, got 'alpha'"),
        (["--strategy", "viterbi"], "no graph 'viterbi' in fp32, which has greedy, beam; export the bundle with"),
        (["--strategy", "greedy", "--n-best", "2"], "n_best: expected 1 with strategy 'greedy'"),
        (["--min-length", "2"], "no graph 'beam-constrained' in fp32"),
        (["--top-p", "2"], "generate: top_p: Input should be less than or equal to 1, got 2.0"),
        (["--top-k", "x"], "'--top-k': "),
        (["--mbr", "blue", "--n-best", "2"], "metrics: blue: unknown metric; did you mean 'bleu'?"),
        (["--mbr", "chrf"], "--mbr: chooses among several hypotheses; say how many with --n-best"),
        (["--prefix", "nowhere"], "nowhere: cannot be read: No such file or directory"),
        (["--shortlist"], "no graph 'beam-shortlist' in fp32"),
        (["--replace-unknown"], "no graph 'align' in fp32"),
        (
            ["--exhaustive", "--patience", "0"],
            "generate: patience: Input should be greater than or equal to 0.001, got 0.0",
        ),
        (["--precision", "int4"], "echo: no graphs of precision 'int4'; it has fp32"),
        (["--input", "nowhere"], "nowhere: cannot be read: No such file or directory; check the name"),
        (["--output", "nowhere/out"], "nowhere/out: cannot be written: No such file or directory"),
    ],
)
def test_bad_options(command: Callable, echo_bundle: Path, lines: Path, options: list[str], message: str) -> None:
    done = command("generate", echo_bundle, "--precision", "fp32", "--input", lines, *options)
    assert done[:2] == (2, "")
    assert done[2].startswith("keras-s2s: ")
    assert done[2].count("\n") == 1
    assert re.search(message, done[2])


def test_a_line_that_is_not_utf8(command: Callable, echo_bundle: Path, lines: Path) -> None:
    lines.write_bytes(b"abc\nde\n\xff\xfe\nghi\n")
    code, out, err = command("generate", echo_bundle, "--precision", "fp32", "--input", lines)
    assert (code, out) == (2, "abc\nde\n")
    assert err == f"keras-s2s: {lines}: line 3: not UTF-8; convert it to UTF-8\n"


def test_a_line_that_is_too_long(command: Callable, echo_bundle: Path, lines: Path) -> None:
    lines.write_text("abc\n" + "a" * 100 + "\n")
    arguments = ["generate", echo_bundle, "--precision", "fp32", "--input", lines]
    code, out, err = command(*arguments)
    assert (code, out) == (0, "abc\n" + "a" * 59 + "\n")
    assert err == "keras-s2s: text 2: 101 source tokens with its end, at most 60 are allowed; truncated\n"
    code, out, err = command(*arguments, "--strict")
    assert code == 2
    assert err.endswith("at most 60 are allowed; shorten or split it\n")


def test_a_file_is_written(command: Callable, echo_bundle: Path, lines: Path, tmp_path: Path) -> None:
    lines.write_bytes(b"abc\r\nde\n")
    arguments = ["generate", echo_bundle, "--precision", "fp32", "--input", lines, "--output"]
    assert command(*arguments, tmp_path / "out") == (0, "", "")
    assert (tmp_path / "out").read_bytes() == b"abc\nde\n"
    (tmp_path / "prefixes").write_bytes(b"x\n")
    for mistake in ([lines], [tmp_path / "prefixes", "--prefix", tmp_path / "prefixes"]):
        code, _, err = command(*arguments, *mistake)
        assert code == 2
        assert "is an input, too" in err
    assert lines.read_bytes() == b"abc\r\nde\n"


def test_a_mistake_leaves_the_output_file_alone(command: Callable, echo_bundle: Path, lines: Path) -> None:
    kept = lines.with_name("kept")
    kept.write_text("old")
    for mistake in (["--precision", "int4"], ["--precision", "fp32", "--n-best", "9"]):
        assert command("generate", echo_bundle, "--input", lines, "--output", kept, *mistake)[0] == 2
    assert kept.read_text() == "old"
