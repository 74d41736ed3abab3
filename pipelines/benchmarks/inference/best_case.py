"""What a greedy step costs at least with onnxruntime's operators, beside our graph's step and CTranslate2's.

The best case is a loop made by hand, of weights that say nothing: for each layer the products in int8, each with what
quantizes its input, the two attentions and the three norms; then the product with the vocabulary and its largest value.
It has no masks, no limits, no scores, no history, and nobody leaves. A step's time is what outputs of N tokens take
longer than those of one token, by N - 1; all rows are the same sentence, so that they end together.

Usage: python best_case.py FOLDER [--models tiny base multi30k] [--rows 16 32 64] [--rounds 7]

FOLDER is that of `speed.py --folder`. Processor time, one thread.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from speed import ENGINES, Engine, decoding, load, rows_of

from keras_s2s.evaluation.tables import markdown_table
from keras_s2s.export.nodes import MICROSOFT, Nodes
from keras_s2s.export.operators import block_size
from keras_s2s.runtime.graph import session_options

SECONDS = 0.2  # a measurement takes at least that long


class Shape(NamedTuple):
    """The sizes of a decoder, and how many tokens are written."""

    width: int
    feed_forward: int
    layers: int
    heads: int
    vocabulary: int
    tokens: int


SHAPES = {
    "tiny": Shape(256, 1536, 2, 8, 32000, 24),
    "base": Shape(512, 2048, 6, 8, 32000, 24),
    "multi30k": Shape(128, 256, 4, 4, 10000, 12),
}


class BestCase(Nodes):
    """The loop.

    Args:
        shape: of the decoder.
        rows: R.
        source: S, the length of each sentence.
    """

    def __init__(self, shape: Shape, rows: int, source: int) -> None:
        super().__init__("best")
        self._shape, self._rng = shape, np.random.default_rng(0)
        memory = self._normal(rows, shape.heads, source, shape.width // shape.heads)
        self._caches: list[tuple[str, str]] = []
        self._feeds = {"rounds": np.array(shape.tokens), "ids": np.ones((rows, 1), "int64"), "memory": memory}
        self._session = onnxruntime.InferenceSession(
            self._model().SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
        )

    def __call__(self) -> None:
        """Writes all tokens."""
        self._session.run(None, self._feeds)

    def _normal(self, *shape: int) -> np.ndarray:
        return self._rng.normal(size=shape).astype("float32")

    def _model(self) -> TensorProto:
        def value(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[int] | None = None) -> TensorProto:
            return helper.make_tensor_value_info(name, kind, shape)

        written = self._step()
        kept = self.node("Identity", ["going"])
        inputs = [value("round", TensorProto.INT64, []), value("going", TensorProto.BOOL)]
        outputs = [value(kept, TensorProto.BOOL, []), value(written, TensorProto.INT64)]
        inputs += [value("newest", TensorProto.INT64), *(value(before) for before, _ in self._caches)]
        body = helper.make_graph(self.take(), "body", inputs, [*outputs, *(value(after) for _, after in self._caches)])
        self.store(body)
        heads, width = self._shape.heads, self._shape.width // self._shape.heads
        going = self.constant("true", np.array(True))
        empty = self.constant("empty", np.zeros((len(self._feeds["ids"]), heads, 0, width), "float32"))
        self.many("Loop", ["rounds", going, "ids", *[empty] * len(self._caches)], 1 + len(self._caches), body=body)
        (loop,) = self.take()
        fed = [value("rounds", TensorProto.INT64, []), value("ids", TensorProto.INT64), value("memory")]
        graph = helper.make_graph([loop], "best_case", fed, [value(loop.output[0], TensorProto.INT64)])
        self.store(graph)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _step(self) -> str:
        width, heads = self._shape.width, self._shape.heads
        x = self.node("Gather", [self.constant("table", self._normal(self._shape.vocabulary, width)), "newest"])
        age = self.node("Cast", ["round"], to=TensorProto.INT32)
        length = self.node("Add", [age, self.constant("one", np.array(1, "int32"))])
        seen = self.node("Expand", [age, self.integers(len(self._feeds["ids"]))])
        for layer in range(self._shape.layers):
            y, caches = self._product(self._norm(x), 3 * width), [f"key_{layer}", f"value_{layer}"]
            inputs = [y, "", "", *caches, seen, length]
            of_keys = {"num_heads": heads, "kv_num_heads": heads}
            y, *after = self.many("GroupQueryAttention", inputs, 3, MICROSOFT, **of_keys)
            self._caches += zip(caches, after, strict=True)
            x = self.node("Add", [x, self._product(y, width)])
            y = self._product(self._norm(x), width)
            y = self.node("MultiHeadAttention", [y, "memory", "memory"], MICROSOFT, num_heads=heads)
            x = self.node("Add", [x, self._product(y, width)])
            y = self._product(self._norm(x), self._shape.feed_forward)
            x = self.node("Add", [x, self._product(y, width, zero=0)])  # from 0 on: ReLU
        return self._largest(self._product(self._norm(x), self._shape.vocabulary))

    def _norm(self, x: str) -> str:
        scale = self.constant("ones", np.ones(self._shape.width, "float32"))
        offset = self.constant("zeros", np.zeros(self._shape.width, "float32"))
        return self.node("LayerNormalization", [x, scale, offset], axis=-1)

    def _product(self, x: str, outputs: int, zero: int = 128) -> str:
        inputs = self._shape.feed_forward if zero == 0 else self._shape.width
        whole = self._rng.integers(-63, 64, size=(inputs, outputs)).astype("int8")
        weight = self.constant(f"weight_{len(self.initializers)}", whole)
        scales = self.constant(f"scales_{outputs}", np.full(outputs, 0.01, "float32"))
        bias = self.constant(f"bias_{outputs}", np.zeros(outputs, "float32"))
        step, middle = self.number(0.02), self.constant(f"zero_{zero}", np.array(zero, "uint8"))
        quantized = self.node("QuantizeLinear", [x, step, middle])
        return self.node("MatMulIntegerToFloat", [quantized, weight, step, scales, middle, "", bias], MICROSOFT)

    def _largest(self, scores: str) -> str:
        vocabulary, last = self._shape.vocabulary, self.integers(-1)
        size = block_size(vocabulary)
        assert size is not None
        blocks = self.node("Reshape", [scores, self.integers(-1, vocabulary // size, size)])
        chosen = self.node("ArgMax", [self.node("ReduceMax", [blocks, last], keepdims=0)], axis=1, keepdims=1)
        block = self.node("GatherND", [blocks, self.node("Unsqueeze", [chosen, last])], batch_dims=1)
        place = self.node("ArgMax", [self.node("Squeeze", [block, self.integers(1)])], axis=1, keepdims=1)
        return self.node("Add", [self.node("Mul", [chosen, self.whole(size)]), place])


def microseconds(call: Callable[[], object]) -> float:
    """The processor time of a call."""
    calls, start = 0, time.process_time()
    while (passed := time.process_time() - start) < SECONDS:
        call()
        calls += 1
    return 1e6 * passed / calls


def compared(model: str, folder: Path, rows: int, rounds: int) -> list[str]:
    """A row of the table."""
    shape, how = SHAPES[model], decoding(model, 1, scores=False)
    engines: list[Engine] = [load(engine, folder, "int8", 1) for engine in ENGINES]
    some = rows_of(folder)[:400]
    outputs = [engine.decode(some, how, 32) for engine in engines]
    long = (row for row, *each in zip(some, *outputs, strict=True) if min(map(len, each)) >= shape.tokens - 1)
    row = next(row for row in long if 13 <= len(row) <= 22)
    one, all_ = (how.replace(max_length_factor=0.0, max_length_extra=tokens) for tokens in (1, shape.tokens))
    best, found = BestCase(shape, rows, len(row)), []
    for _ in range(rounds):
        first, whole = (
            [microseconds(partial(engine.decode, [row] * rows, limit, rows)) for engine in engines]
            for limit in (one, all_)
        )
        steps = [(b - a) / (shape.tokens - 1) for a, b in zip(first, whole, strict=True)]
        found.append([*first, *steps, microseconds(best) / shape.tokens])
    start, their_start, step, their_step, least = (median(values) for values in zip(*found, strict=True))
    ratios = [their_start / start, their_step / step, their_step / least]
    return [model, str(rows), *(f"{x:,.0f}" for x in (step, least, their_step)), *(f"{x:.2f}" for x in ratios)]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=[*SHAPES])
    parser.add_argument("--rows", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    table = [
        compared(model, options.folder / model, rows, options.rounds)
        for model in options.models
        for rows in options.rows
    ]
    header = ["model", "rows", "our step, µs", "best case", "CTranslate2", "theirs / ours: encoder and first step"]
    print(markdown_table([*header, "step", "step of the best case"], table))


if __name__ == "__main__":
    main()
