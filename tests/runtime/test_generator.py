import copy
import json
import logging
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.runtime import Generator, Hypothesis

ABSENT = ("tensorflow", "keras", "tf_keras", "tf2onnx", "onnx", "tensorflow_text")


@pytest.fixture(scope="module")
def echo(echo_bundle: Path) -> Generator:
    return Generator.load(echo_bundle, "fp32")


def edit(bundle: Path, **changes: object) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_greedy_text_in_text_out(echo: Generator) -> None:
    # This graph has no inputs for a beam's options, and is given none.
    [[hypothesis]] = echo(["abc 1"], beam_size=1)
    ids = echo._source.encode(["abc 1"])[0]
    assert hypothesis == Hypothesis("abc 1", tuple(ids), -len(ids))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_without_scores_there_are_none(echo: Generator, beam_size: int) -> None:
    plain, found = (echo(["abc 1", ""], beam_size=beam_size, scores=scores) for scores in (True, False))
    assert found == [[replace(one, score=None, token_scores=()) for one in some] for some in plain]


def test_the_bundle_s_defaults_reach_the_graph(echo: Generator) -> None:
    [[hypothesis]] = echo(["abc"])
    # rank 1, 10 * length_penalty, 100 * length_penalty_base, beam_size
    assert hypothesis.score == -1 - 5 - 200 - 4


def test_options_reach_the_graph(echo: Generator) -> None:
    [hypotheses] = echo(["abc"], beam_size=3, n_best=2, length_penalty=1.5, length_penalty_base=0.25)
    assert [hypothesis.score for hypothesis in hypotheses] == [-1 - 15 - 25 - 3, -2 - 15 - 25 - 3]
    assert [hypothesis.text for hypothesis in hypotheses] == ["abc", "abc"]


def test_maximum_length_counts_the_end_of_the_source(echo: Generator) -> None:
    [[hypothesis]] = echo(["abcdefgh"], beam_size=1, max_length_factor=0.5, max_length_extra=1)
    source = len(echo._source.encode(["abcdefgh"])[0]) + 1
    assert len(hypothesis.tokens) == source // 2 + 1


def test_impossible_hypotheses_are_dropped(echo: Generator) -> None:
    hypotheses = echo(["abc", "de"], beam_size=8, n_best=8)
    assert [len(some) for some in hypotheses] == [6, 6]
    assert [some[-1].text for some in hypotheses] == ["abc", "de"]


@pytest.mark.parametrize("beam_size", [1, 2])
def test_order_is_restored(echo: Generator, beam_size: int) -> None:
    random = np.random.default_rng(3)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    texts = ["".join(random.choice(letters, random.integers(0, 50))) for _ in range(1000)]
    results = echo(texts, beam_size=beam_size, max_length_extra=100)
    assert [hypotheses[0].text for hypotheses in results] == texts
    lines = (text + "\n" for text in texts)
    streamed = echo.stream(lines, window=64, beam_size=beam_size, max_length_extra=100)
    assert list(streamed) == results


def test_results_do_not_depend_on_cores(echo_bundle: Path) -> None:
    random = np.random.default_rng(4)
    texts = ["ab " * random.integers(0, 15) + str(number) for number in range(300)]
    expected = Generator.load(echo_bundle, "fp32", threads=1)(texts, batch_size=8)
    several = Generator.load(echo_bundle, "fp32", threads=4)
    assert several(texts, batch_size=8) == expected
    for full in (False, True):
        assert list(several.stream(iter(texts), window=32, full=full, batch_size=8)) == expected
    # Graphs that have all threads, and such that have one.
    assert several(texts[:1]) == expected[:1]


def test_a_stream_may_begin_at_a_later_line(many_graphs_bundle: Path) -> None:
    generator = Generator.load(many_graphs_bundle, "fp32")
    texts = [f"abc {number}" for number in range(20)]
    whole = generator(texts, strategy="sample")
    later = list(generator.stream(texts[13:], first=14, strategy="sample"))
    assert later == whole[13:]
    assert list(generator.stream(texts[13:], strategy="sample")) != later
    with pytest.raises(UserError, match=r"^text 15: "):
        list(generator.stream(["abc", "a" * 100], first=14, strict=True))


def test_an_error_comes_after_the_results_of_windows_before_it(echo: Generator) -> None:
    found = echo.stream(["a", "b", "c", "d", "e", "a" * 100], window=2, full=True, strict=True)
    assert [next(found)[0].text for _ in range(4)] == ["a", "b", "c", "d"]
    with pytest.raises(UserError, match=r"^text 6: "):
        next(found)


def test_blank_texts_are_answered_without_the_model(echo: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "_graph", None)
    assert echo(["", "  ", "\t\n"], n_best=4) == [[Hypothesis("", (), 0.0)]] * 3


def test_no_texts(echo: Generator) -> None:
    assert echo([]) == []
    assert list(echo.stream([])) == []


def test_a_long_text_is_truncated_with_a_warning(echo: Generator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        [[short], [long]] = echo(["abc", "a" * 100], beam_size=1)
    count = len(echo._source.encode(["a" * 100])[0]) + 1
    assert caplog.messages == [f"text 2: {count} source tokens with its end, at most 60 are allowed; truncated"]
    assert (short.text, len(long.tokens)) == ("abc", 59)


def test_a_text_at_the_limit_is_kept_whole(echo: Generator, caplog: pytest.LogCaptureFixture) -> None:
    count = 60 - 1 - (len(echo._source.encode(["a"])[0]) - 1)
    [[hypothesis]] = echo(["a" * count], beam_size=1, strict=True)
    assert hypothesis.text == "a" * count
    assert not caplog.messages


def test_strict_refuses_a_long_text_before_any_work(echo: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "_graph", None)
    with pytest.raises(UserError, match=r"^text 2: .* at most 60 are allowed; shorten or split it$"):
        echo(["abc", "a" * 100], strict=True)


def test_lines_are_numbered_through_a_stream(echo: Generator) -> None:
    with pytest.raises(UserError, match=r"^text 70: "):
        list(echo.stream(["abc"] * 69 + ["a" * 100], window=8, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "generate: beam_size: .*greater than or equal to 1, got 0"),
        ({"beam_size": 2, "n_best": 3}, "generate: n_best: expected at most the beam size, 2, got 3"),
        ({"length_penalty": float("nan")}, "generate: length_penalty: .*finite.*"),
        ({"length_penalty_base": -1}, "generate: length_penalty_base: .*"),
        ({"max_length_factor": float("inf")}, "generate: max_length_factor: .*"),
        ({"max_length_extra": 2**40}, "generate: max_length_extra: .*"),
        ({"batch_size": 0}, "generate: batch_size: .*"),
    ],
)
def test_bad_options(echo: Generator, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        echo(["abc"], **options)

    def lines() -> Iterator[str]:
        raise AssertionError("read a line")
        yield

    with pytest.raises(UserError, match=f"^{message}$"):
        echo.stream(lines(), **options)


def test_a_mistyped_stream_option_is_named(echo: Generator) -> None:
    with pytest.raises(UserError, match="beamsize: unknown key; did you mean 'beam_size'"):
        echo.stream([], beamsize=3)
    with pytest.raises(UserError, match="window: expected at least 1, got 0"):
        echo.stream([], window=0)


def test_texts_are_a_list_of_strings(echo: Generator) -> None:
    with pytest.raises(UserError, match="put it into a list"):
        echo("abc")
    with pytest.raises(UserError, match="text 2: expected a string, got NoneType"):
        echo(["abc", None])  # type: ignore[list-item]


def test_a_stream_answers_a_line_before_the_next_comes(echo: Generator) -> None:
    answered = threading.Event()

    def lines() -> Iterator[str]:
        yield "abc\n"
        assert answered.wait(30), "the second line was wanted before the first was answered"
        yield "de\r\n"

    results = echo.stream(lines())
    assert next(results)[0].text == "abc"
    answered.set()
    assert next(results)[0].text == "de"


def test_unknown_precision(echo_bundle: Path) -> None:
    with pytest.raises(UserError, match=r"echo: no graphs of precision 'int4'; it has fp32"):
        Generator.load(echo_bundle, "int4")


def test_threads(echo_bundle: Path) -> None:
    assert Generator.load(echo_bundle, "fp32", threads=1)(["abc"])[0][0].text == "abc"
    with pytest.raises(UserError, match="threads: expected at least 1, got 0"):
        Generator.load(echo_bundle, "fp32", threads=0)


@pytest.mark.parametrize("path", ["source.model", "onnx/fp32/beam.onnx", "onnx/fp32/weights.bin"])
def test_a_tampered_file_is_not_loaded(own_bundle: Path, path: str) -> None:
    file = own_bundle / path
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(UserError, match=rf"{path}: its SHA-256 is not the one in bundle.json; export the bundle"):
        Generator.load(own_bundle, "fp32")


def test_only_the_chosen_precision_is_hashed(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads((own_bundle / "bundle.json").read_text())
    edit(own_bundle, files={**content["files"], "saved_model/saved_model.pb": "0" * 64})
    assert Generator.load(own_bundle, "fp32")(["abc"])[0][0].text == "abc"


def test_a_newer_onnxruntime_is_wanted(own_bundle: Path) -> None:
    edit(own_bundle, minimum_onnxruntime="1.999.0")
    with pytest.raises(UserError, match=r"echo: needs onnxruntime 1\.999\.0 or newer; .* is installed, upgrade it"):
        Generator.load(own_bundle, "fp32")


def test_a_strategy_that_the_bundle_lacks(own_bundle: Path) -> None:
    graphs = json.loads((own_bundle / "bundle.json").read_text())["graphs"]
    edit(own_bundle, graphs={"fp32": {"greedy": graphs["fp32"]["greedy"]}})
    echo = Generator.load(own_bundle, "fp32")
    assert echo(["abc"], beam_size=1)[0][0].text == "abc"
    with pytest.raises(UserError, match="no graph 'beam' in fp32, which has greedy; export the bundle with 'beam'"):
        echo(["abc"])


def test_generating_imports_no_training_stack(echo_bundle: Path) -> None:
    program = (
        "import sys; import keras_s2s.runtime; "
        "result = keras_s2s.runtime.Generator.load(sys.argv[1], 'fp32')(['abc']); "
        "print(result[0][0].text, [name for name in sys.argv[2:] if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, echo_bundle, *ABSENT], capture_output=True, text=True, check=True
    )
    assert run.stdout == "abc []\n"


def test_a_process_ends_while_its_stream_waits_for_a_line(echo_bundle: Path) -> None:
    program = (
        "import sys; from keras_s2s.runtime import Generator; "
        "print(next(Generator.load(sys.argv[1], 'fp32').stream(sys.stdin))[0].text)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, echo_bundle],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write("abc\n")
        process.stdin.flush()
        # Its standard input stays open.
        assert process.wait(60) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("abc\n", "")


def test_a_prefix_that_is_too_long_is_refused_before_any_work(
    many_graphs_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Generator.load(many_graphs_bundle, "fp32")
    monkeypatch.setattr(generator, "_graph", None)
    options = {"beam_size": 1, "max_length_factor": 0, "max_length_extra": 2}
    message = "^text 2: a prefix of 3 tokens, but at most 2 may come out; shorten it or raise max_length_extra$"
    with pytest.raises(UserError, match=message):
        generator(["abc", "de"], prefix=["ab", "abc"], **options)
    with pytest.raises(UserError, match=r"^prefix: 1 prefixes for 2 texts; give one for each, '' for none$"):
        generator(["abc", "de"], prefix=["ab"], **options)


# Unpickles a generator in another folder, in a process that has loaded nothing yet.
UNPICKLE = """
import pickle, sys
generator = pickle.load(sys.stdin.buffer)
print(generator.bundle.path, generator.precision, generator(["abc", "de"])[1][0].text)
"""


def test_a_pickled_generator_is_loaded_again(
    echo_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(echo_bundle.parent)
    generator = Generator.load(echo_bundle.name, "fp32", threads=1)
    generator(["abc"])
    pickled = pickle.dumps(generator)
    assert len(pickled) < 500
    done = subprocess.run(
        [sys.executable, "-c", UNPICKLE], input=pickled, capture_output=True, cwd=tmp_path, check=True
    )
    assert done.stdout.decode() == f"{echo_bundle} fp32 de\n"


def test_a_generator_goes_to_a_process_of_its_own(echo_bundle: Path) -> None:
    generator = Generator.load(echo_bundle, "fp32")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        assert process.submit(generator, ["abc", "de"]).result() == generator(["abc", "de"])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_same_options_and_answers(echo_bundle: Path, copied: Callable) -> None:
    generator = Generator.load(echo_bundle, "fp32", threads=1)
    again = copied(generator)
    assert (
        again.__reduce__()
        == generator.__reduce__()
        == (
            Generator.load,
            (str(echo_bundle), "fp32", 1, ("cpu",)),
        )
    )
    assert again(["abc"]) == generator(["abc"])


def test_a_bundle_that_was_changed_meanwhile_is_not_loaded(own_bundle: Path) -> None:
    pickled = pickle.dumps(Generator.load(own_bundle, "fp32"))
    (own_bundle / "onnx/fp32/weights.bin").write_bytes(b"1234")
    with pytest.raises(UserError, match=r"weights\.bin: "):
        pickle.loads(pickled)
    shutil.rmtree(own_bundle)
    with pytest.raises(UserError, match="no such folder"):
        pickle.loads(pickled)
