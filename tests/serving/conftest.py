"""A real bundle whose searches have steps, and a server of it as a process of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from keras_s2s import bundle, text
from keras_s2s.bundle import Decoding
from keras_s2s.config import parse
from keras_s2s.runtime import Generator
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.special_ids import EOS

LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789"
STEPWISE = ("greedy", "beam", "beam-constrained")
WHOLE = ("sample", "score", "align")
DECODING = Decoding(strategy="beam", beam_size=4, max_length_factor=1.5, max_length_extra=10)

PLAIN: dict[str, Any] = {"timeout": 60, "verify": False}
"""Of every request: HTTP alone, so nobody reads the certificates of all authorities."""


def texts(count: int, seed: int = 1, longest: int = 24) -> list[str]:
    """Texts of every length; one of eight is blank."""
    rng = np.random.default_rng(seed)
    lengths = [0 if number % 8 == 7 else rng.integers(1, longest + 1) for number in range(count)]
    return ["".join(rng.choice(list(LETTERS), size=length)) for length in lengths]


def _model(vocabulary: int) -> Any:
    """A small Transformer with weights so large that outputs are of every length."""
    import keras

    from keras_s2s.models import ModelConfig, TransformerDecoderConfig, TransformerEncoderConfig, build

    keras.utils.set_random_seed(1)
    blocks: dict[str, Any] = {"layers": 2, "heads": 4, "feed_forward": 48}
    model = build(
        ModelConfig(
            source_vocabulary=vocabulary,
            target_vocabulary=vocabulary,
            width=32,
            encoder=TransformerEncoderConfig(**blocks),
            decoder=TransformerDecoderConfig(**blocks),
        )
    )
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        scale = 0.3 if "norm" in weight.path else 1.5 * weight.shape[0] ** -0.5
        weight.assign(weight + rng.normal(scale=scale, size=weight.shape))
    bias = model.head.bias.numpy()
    bias[:3] = -30, -30, bias[2] + 3  # No training teaches a model to write padding or BOS; ends come in time.
    model.head.bias.assign(bias)
    return model


def save_stepwise_bundle(path: Path) -> None:
    """Saves a bundle whose searches have steps, without the comparisons that an export makes."""
    from keras_s2s.export.forms import programs_of, steps_of
    from keras_s2s.export.graphs import write_graphs

    with bundle.building(path) as folder:
        tokenizer = text.train([LETTERS], 64, kind="char")
        tokenizer.save(folder / "joint.model")
        model = _model(tokenizer.vocabulary_size)
        steps, layouts = steps_of(model, STEPWISE)
        programs = {**programs_of(model, (*STEPWISE, *WHOLE), groups=1), **steps}
        rows = [[*ids, EOS] for ids in tokenizer.encode(texts(32)) if ids]
        batches = [feeds([Sentence(row)], DECODING, tokenizer.vocabulary_size) for row in rows]
        own = write_graphs(programs, "beam", batches, folder, lambda what: None, "onnxruntime")
        model_file = {
            "path": "joint.model",
            "sha256": bundle.sha256(folder / "joint.model"),
            "vocabulary_size": tokenizer.vocabulary_size,
            "test_vectors": [],
        }
        weights = [f"onnx/{precision}/weights.bin" for precision in own]
        manifest = {
            "name": "stepwise",
            "task": "noise",
            "tokenizers": {"source": model_file, "target": model_file},
            "graphs": {precision: bundle.graph_files(folder, precision, names) for precision, names in own.items()},
            "steps": layouts,
            "files": {name: bundle.sha256(folder / name) for name in weights},
            "decoding": DECODING,
            "limits": {"max_source_tokens": 40},
            "model": {},
            "metrics": {"test": {"bleu": 1.0}},
            "verification": {},
            "versions": {"keras_s2s": "0.1.0"},
            "minimum_onnxruntime": "1.21.0",
            "created": "2026-01-31",
        }
        bundle.write(folder, parse(bundle.Manifest, manifest, "stepwise"))


@pytest.fixture(scope="session", name="texts")
def texts_fixture() -> Callable[..., list[str]]:
    """`texts`, for tests."""
    return texts


@pytest.fixture(scope="session")
def stepwise_bundle(made_once: Callable[..., Path]) -> Path:
    """A bundle that is only read."""
    return made_once("stepwise", save_stepwise_bundle)


class Server:
    """A server as a process of its own.

    Attributes:
        process: it.
        url: where it listens.
        log: what it has written to its standard error, as lines of JSON.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.log = process, list[dict[str, Any]]()
        self._written = threading.Condition()
        assert process.stderr is not None
        first = process.stderr.readline()
        found = re.search(r"http://\S+", first)
        assert found, first + process.stderr.read()
        self.url = found[0]
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._written:
                self.log.append(json.loads(line))
                self._written.notify_all()

    def logged(self, **values: Any) -> dict[str, Any]:
        """The first line of the log that has these values. It is waited for: an answer may be here before its line."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.log if values.items() <= line.items()), None)

        with self._written:
            line = self._written.wait_for(found, 60)
        assert line, f"no line has {values}"
        return line

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Posts JSON, or bytes as they are."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.post(self.url + path, **content, **PLAIN, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, **PLAIN, **options)

    def metric(self, name: str, **labels: str) -> float:
        """A number of /metrics, summed over labels that are not given."""
        lines = [line for line in self.get("/metrics").text.splitlines() if re.match(rf"keras_s2s_{name}(\{{| )", line)]
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))

    def stop(self) -> int:
        """Asks it to stop, and gives the exit code; everything that it wrote is in the log then."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Waits for its end; gives the exit code."""
        code = self.process.wait(60)
        self._reading.join()
        return code


@contextlib.contextmanager
def serving(*arguments: object, program: Sequence[str] = (), **environment: str) -> Iterator[Server]:
    """A server with these arguments, started by a program if one is given, which is killed at last."""
    command = [*program, sys.executable, "-m", "keras_s2s.cli", "serve", *map(str, arguments), "--port", "0"]
    with contextlib.ExitStack() as at_last:
        environment = {**os.environ, **environment}
        process = at_last.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
        at_last.callback(process.kill)
        server = Server(process)
        at_last.callback(server.wait)
        at_last.callback(process.kill)
        yield server


@pytest.fixture(scope="session", name="serving")
def serving_fixture() -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """`serving`, for tests."""
    return serving


@pytest.fixture(scope="module")
def server(stepwise_bundle: Path) -> Iterator[Server]:
    """A server with defaults that the tests of a file share."""
    with serving(stepwise_bundle) as running:
        yield running


@pytest.fixture(scope="session")
def generator(stepwise_bundle: Path) -> Generator:
    """What the server should say."""
    return Generator.load(stepwise_bundle, threads=1)
