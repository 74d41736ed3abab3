"""What is read as lines and what is written as lines: compressed files, line ends in outputs, prefixes, cut outputs."""

import gzip
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from keras_s2s import UserError, bundle
from keras_s2s.cli.files import check_plain
from keras_s2s.cli.unfinished import journal_of
from keras_s2s.cli.work import Work

FP32 = ("--precision", "fp32")
LINE_ENDS = {"x": "\n", "y": "\u2028", "z": "\r"}


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / "bundle.json").read_text())
    change(content)
    (folder / "bundle.json").write_text(json.dumps(content))


@pytest.fixture
def line_ends_bundle(own_bundle: Path) -> Path:
    """It writes line ends for x, y and z."""
    model = ModelProto.FromString((own_bundle / "source.model").read_bytes())
    for piece in model.pieces:
        piece.piece = LINE_ENDS.get(piece.piece, piece.piece)
    (own_bundle / "target.model").write_bytes(model.SerializeToString())

    def change(content: dict[str, Any]) -> None:
        sha256 = bundle.sha256(own_bundle / "target.model")
        content["tokenizers"]["target"] |= {"path": "target.model", "sha256": sha256, "test_vectors": []}

    edit(own_bundle, change)
    return own_bundle


@pytest.fixture
def telling_bundle(own_bundle: Path) -> Path:
    """Its greedy graph tells that what is not the whole source was cut. Its beam is that of an older bundle."""
    path = own_bundle / "onnx/fp32/greedy.onnx"
    model = onnx.load(path, load_external_data=False)
    model.graph.node.append(helper.make_node("Equal", ["counts", "lengths"], ["finished"]))
    model.graph.output.append(helper.make_tensor_value_info("finished", onnx.TensorProto.BOOL, ["B", "N"]))
    path.write_bytes(model.SerializeToString())
    edit(own_bundle, lambda content: content["graphs"]["fp32"]["greedy"].update(sha256=bundle.sha256(path)))
    return own_bundle


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


# Line ends in outputs


def test_a_line_end_in_an_output_ends_no_line(process: Callable, line_ends_bundle: Path) -> None:
    done = process("generate", line_ends_bundle, *FP32, given=b"axb\nab\n\nyaz\nxx\n")
    assert done.returncode == 0
    assert done.stdout == rb"a\nb" + b"\nab\n\n" + rb"\u2028a\r" + b"\n" + rb"\n\n" + b"\n"
    assert len(done.stdout.decode().splitlines()) == 5
    said = r"keras-s2s: 3 of 5 outputs have line ends, which are written as \n, \r, \u2028 and so on"
    assert done.stderr.decode() == f"{said}\n"


def test_each_of_the_n_best_is_a_line(command: Callable, line_ends_bundle: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in", b"ax\n")
    code, out, err = command(
        "generate", line_ends_bundle, *FP32, "--input", source, "--n-best", 2, "--scores", "--token-scores"
    )
    assert (code, [line.split("\t") for line in out.splitlines()]) == (
        0,
        [["1", "-210.000000", "", r"a\n"], ["1", "-211.000000", "", r"a\n"]],
    )
    assert err.startswith("keras-s2s: 2 of 2 outputs have line ends, ")
    code, out, _ = command(
        "generate", line_ends_bundle, *FP32, "--input", source, "--n-best", 2, "--mbr", "exact_match"
    )
    assert (code, out) == (0, "a\\n\n")


def test_metrics_see_what_the_model_wrote(command: Callable, line_ends_bundle: Path, tmp_path: Path) -> None:
    source, reference = write(tmp_path / "in", b"ab\nyb\n"), write(tmp_path / "ref", "ab\n\u2028b\n".encode())
    output = tmp_path / "out"
    arguments = ["--source", source, "--reference", reference, "--metric", "exact_match"]
    code, out, err = command("evaluate", line_ends_bundle, *FP32, *arguments, "--json", "--output", output)
    assert (code, json.loads(out)["metrics"]) == (0, {"exact_match": 100.0})
    assert output.read_bytes() == b"ab\n" + rb"\u2028b" + b"\n"
    assert err == "keras-s2s: 1 of 2 outputs has line ends, which are written as \\n, \\r, \\u2028 and so on\n"
    # Of a bundle and of a file of its outputs the same is said.
    code, out, _ = command("compare", output, line_ends_bundle, *FP32, *arguments, "--json")
    (_, scores) = code, [one["score"] for one in json.loads(out)["metrics"]["exact_match"]]
    assert (code, scores) == (0, [100.0, 100.0])


# Outputs that were cut

LIMITED = ("--beam-size", 1, "--max-length-factor", 0, "--max-length-extra", 3)
CUT = "keras-s2s: {} of {} outputs were cut at their length limit; raise --max-length-extra\n"


def test_one_warning_counts_what_was_cut(process: Callable, telling_bundle: Path) -> None:
    done = process("generate", telling_bundle, *FP32, *LIMITED, given=b"abcd\nabc\n\nab\nabcde\n")
    assert (done.returncode, done.stdout) == (0, b"abc\nabc\n\nab\nabc\n")
    assert done.stderr.decode() == CUT.format(2, 5)
    done = process("generate", telling_bundle, *FP32, *LIMITED, given=b"abcd\n")
    said = "keras-s2s: 1 of 1 outputs was cut at its length limit; raise --max-length-extra\n"
    assert done.stderr.decode() == said


def test_an_older_bundle_says_what_it_can(command: Callable, telling_bundle: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in", b"abcd\nabc\n\nab\n")
    limited = ("--beam-size", 2, *LIMITED[2:])
    code, _, err = command("generate", telling_bundle, *FP32, "--input", source, *limited)
    assert code == 0
    assert err == (
        "keras-s2s: 2 of 4 outputs are as long as their limit allows; whether they were cut, a bundle as old as this "
        "one does not tell: raise --max-length-extra\n"
    )
    arguments = ["evaluate", telling_bundle, *FP32, "--source", source, "--reference", source, "--json"]
    arguments += ["--metric", "exact_match"]
    assert json.loads(command(*arguments, *limited)[1])["cut"] is None
    code, out, err = command(*arguments, *LIMITED)
    assert (json.loads(out)["cut"], err) == (
        1,
        CUT.format(1, 4).replace("outputs were cut at their", "outputs was cut at its"),
    )
    code, out, err = command(*arguments)
    assert (json.loads(out)["cut"], err) == (0, "")


def interrupted_after(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Work.done_here

    def done_here(*arguments: Any) -> Iterator[Any]:
        yield from itertools.islice(whole(*arguments), lines)
        raise KeyboardInterrupt

    monkeypatch.setattr(Work, "done_here", done_here)


@pytest.mark.parametrize("name", ["in", "in.gz"])
def test_a_run_that_goes_on_counts_what_the_first_one_wrote(
    command: Callable, telling_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = write(tmp_path / name, b"".join(b"a" * (number % 5) + b"\n" for number in range(3000)))
    arguments = ["generate", telling_bundle, *FP32, *LIMITED, "--input", source, "--output"]
    with monkeypatch.context() as patch:
        interrupted_after(2100, patch)
        assert command(*arguments, tmp_path / "out")[0] == 130
    output = tmp_path / "out"
    output.write_bytes(b"?" + output.read_bytes()[1:])
    assert journal_of(output).exists()
    assert command(*arguments, output) == (0, "", CUT.format(600, "3,000"))
    assert command(*arguments, tmp_path / "at once") == (0, "", CUT.format(600, "3,000"))
    assert output.read_bytes() == b"?" + (tmp_path / "at once").read_bytes()[1:]


# Compressed files


@pytest.mark.parametrize("name", ["in.gz", "no name of a gzip file"])
def test_a_compressed_input(command: Callable, many_graphs_bundle: Path, tmp_path: Path, name: str) -> None:
    source, prefix = tmp_path / name, write(tmp_path / "begins.gz", b"x\n\ny\n")
    source.write_bytes(gzip.compress(b"\xef\xbb\xbfabc\r\n\nde"))
    arguments = ["generate", many_graphs_bundle, *FP32, "--strategy", "greedy", "--input", source]
    assert command(*arguments) == (0, "abc\n\nde\n", "")
    assert command(*arguments, "--prefix", prefix) == (0, "xabc\n\nyde\n", "")


def test_a_compressed_standard_input(process: Callable, echo_bundle: Path) -> None:
    done = process("generate", echo_bundle, *FP32, given=gzip.compress(b"abc\n\nde\n"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"abc\n\nde\n", b"")
    done = process("generate", echo_bundle, *FP32, given=gzip.compress(b"abc\n" * 9)[:-4])
    said = "keras-s2s: standard input: not a gzip file, or cut short; compress it again\n"
    assert (done.returncode, done.stderr.decode()) == (2, said)


def test_a_compressed_input_that_is_cut_short(command: Callable, echo_bundle: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.gz", tmp_path / "out"
    said = f"keras-s2s: {source}: not a gzip file, or cut short; compress it again\n"
    for content in (gzip.compress(b"abc\n" * 5000)[:-9], b"abc\n", b""):
        source.write_bytes(content)
        assert command("generate", echo_bundle, *FP32, "--input", source, "--output", output) == (2, "", said)
        assert command("bench", echo_bundle, "--source", source) == (2, "", said)
        assert not output.exists()


def test_verbs_that_measure_read_compressed_files(command: Callable, many_graphs_bundle: Path, tmp_path: Path) -> None:
    source, reference = write(tmp_path / "in.gz", b"abc\nde\n"), write(tmp_path / "ref.gz", b"abc\nxx\n")
    files = ["--source", source, "--reference", reference]
    code, out, _ = command("evaluate", many_graphs_bundle, *FP32, *files, "--metric", "exact_match", "--json")
    assert (code, json.loads(out)["metrics"]) == (0, {"exact_match": 50.0})
    assert command("score", many_graphs_bundle, *FP32, *files)[0] == 0
    outputs = write(tmp_path / "out.gz", b"abc\nde\n")
    code, out, _ = command("compare", outputs, many_graphs_bundle, *FP32, *files, "--metric", "exact_match", "--json")
    assert (code, [one["score"] for one in json.loads(out)["metrics"]["exact_match"]]) == (0, [50.0, 50.0])


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_an_output_has_no_name_of_a_compressed_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match=rf"choose a name without \{suffix}, and compress it afterwards$"):
        check_plain(tmp_path / f"out{suffix}")


def test_outputs_are_plain_text(command: Callable, echo_bundle: Path, tmp_path: Path) -> None:
    source, output = write(tmp_path / "in", b"abc\n"), tmp_path / "out.gz"
    said = f"keras-s2s: {output}: an output is plain text; choose a name without .gz, and compress it afterwards\n"
    assert command("generate", echo_bundle, *FP32, "--input", source, "--output", output) == (2, "", said)
    files = ["--source", source, "--reference", source, "--output", output]
    assert command("evaluate", echo_bundle, *FP32, *files) == (2, "", said)
    assert not output.exists()


# Prefixes, texts to suppress, targets


def test_a_prefix_that_cannot_be_written_is_named_by_its_line(
    command: Callable, many_graphs_bundle: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "in", b"abc\n" * 3)
    arguments = ["generate", many_graphs_bundle, *FP32, "--strategy", "greedy", "--input", source, "--prefix"]
    for name in ("begins", "begins.gz"):
        prefix = write(tmp_path / name, "x\n\nyÄ\n".encode())
        said = (
            f"keras-s2s: {prefix}: line 3: prefix 'yÄ': the target vocabulary cannot write 'Ä' (U+00C4) there; "
            "leave it out, or write it as the model's outputs do\n"
        )
        assert command(*arguments, prefix) == (2, "", said)
    spaced = write(tmp_path / "spaced", b"x \n\n\n")
    assert command(*arguments, spaced) == (0, "x abc\nabc\nabc\n", "")


def test_a_text_to_suppress_that_cannot_be_written(command: Callable, many_graphs_bundle: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in", b"abc\n")
    arguments = ["generate", many_graphs_bundle, *FP32, "--strategy", "greedy", "--input", source]
    said = "the target vocabulary cannot write '⁇' (U+2047), so no output has it; leave it out"
    assert command(*arguments, "--suppress", "a", "--suppress", " ⁇ ") == (
        2,
        "",
        f"keras-s2s: suppress: ' ⁇ ': {said}\n",
    )


def test_targets_with_what_the_vocabulary_lacks_are_said(
    command: Callable, many_graphs_bundle: Path, tmp_path: Path
) -> None:
    source, reference = write(tmp_path / "in", b"a\nb\nc\n"), write(tmp_path / "ref", "a\nbß\n😀\n".encode())
    code, out, err = command("score", many_graphs_bundle, *FP32, "--source", source, "--reference", reference)
    assert (code, out.count("\n")) == (0, 3)
    assert err.startswith(
        "keras-s2s: 2 of 3 targets have something that the target vocabulary cannot write, the first, number 2, has "
        "'ß' (U+00DF); it is scored as the unknown token\n"
    )
