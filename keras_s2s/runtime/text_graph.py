"""A bundle's search as one ONNX graph from text to text, its tokenizers operators of onnxruntime-extensions.

A session must be told of them: `options.register_custom_ops_library(onnxruntime_extensions.get_library_path())`.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime_extensions
from onnx import GraphProto, ModelProto, helper, numpy_helper, parser

from keras_s2s.bundle import Bundle
from keras_s2s.errors import UserError
from keras_s2s.runtime.feeds import default_feeds
from keras_s2s.runtime.generator import Generator
from keras_s2s.runtime.graph import session_options
from keras_s2s.runtime.options import find_graph
from keras_s2s.runtime.providers import make_session
from keras_s2s.text.tokenizer import BLANK, Tokenizer

EXTENSIONS = "ai.onnx.contrib"
MODEL = "model.onnx"

# The first with RegexFullMatch; nothing that our graphs have means another thing in it than in theirs.
_OPSET, _IR_VERSION = 20, 9

# Rows of ids with EOS, cut to `longest` and padded, and for each an empty prefix.
_ENCODE = """
encode (string[B] source, int64[1] longest) => (int32[B, S] source_ids, int32[B, 1] prefix)
<int64 zero = {0}, int64 one = {1}, int64[1] first = {0}, int64[1] second = {1}, int64[1] last = {-1},
 int64[1] all = {9223372036854775807}, int64[1] best = {0}, float[1] alpha = {0}, bool[1] no = {0}, bool[1] yes = {1},
 int32 padding = {0}, int32 end = {2}>
{
    flat, bounds = ai.onnx.contrib.SentencepieceTokenizer (source, best, alpha, no, yes, no)
    begins = Slice (bounds, first, last)
    ends = Slice (bounds, second, all)
    whole = Sub (ends, begins)
    lengths = Min (whole, longest)
    size = ReduceMax <keepdims = 0> (lengths)
    places = Range (zero, size, one)
    columns = Unsqueeze (lengths, second)
    is_real = Less (places, columns)
    rows = Unsqueeze (begins, second)
    everywhere = Add (places, rows)
    where = Where (is_real, everywhere, zero)
    ids = Gather (flat, where)
    behind = Add (places, one)
    is_last = Equal (behind, longest)
    ended = Where (is_last, end, ids)
    source_ids = Where (is_real, ended, padding)
    column = Slice (source_ids, first, second, second)
    prefix = Sub (column, column)
}
"""
# The best of each row as text; what is blank gives nothing.
_DECODE = """
decode (string[B] source, int32[B, S] source_ids, int32[B, N, T] tokens, int32[B, N] lengths, float[B, N] scores)
    => (string[B] text, float[B] score)
<int64 zero = {0}, int64[1] first = {0}, int32[1] begin_of_row = {0}, int32 end = {2}, string nothing = {""},
 float naught = {0}, bool always = {1}>
{
    best = Gather <axis = 1> (tokens, zero)
    sizes = Gather <axis = 1> (lengths, zero)
    count = Size (sizes)
    written = Loop (count, always) <body = row (int64 i, bool go) => (bool on, string some) {
        on = Identity (go)
        row = Gather (best, i)
        size = Gather (sizes, i)
        end_of_row = Unsqueeze (size, first)
        real = Slice (row, begin_of_row, end_of_row)
        ids = Cast <to = 7> (real)
        texts = ai.onnx.contrib.SentencepieceDecoder (ids)
        some = Squeeze (texts)
    }>
    is_space = RegexFullMatch (source)
    begin = Gather <axis = 1> (source_ids, zero)
    is_empty = Equal (begin, end)
    is_blank = Or (is_space, is_empty)
    text = Where (is_blank, nothing, written)
    of_best = Gather <axis = 1> (scores, zero)
    score = Where (is_blank, naught, of_best)
}
"""


def write_text_graph(bundle: str | os.PathLike[str], folder: str | os.PathLike[str], precision: str = "int8") -> Path:
    """Writes the search that a bundle does by default, with its options and tokenizers in it.

    The graph takes `source` (B,) string, B at least 1, and gives `text` (B,) string, the best hypothesis of each, and
    `score` (B,) float32. A blank text gives an empty one and 0; one that is longer than the bundle allows is truncated.
    All is as `Generator` gives it, but for a text with a NUL, of which the library reads nothing from there on.

    Args:
        bundle: its folder.
        folder: where `model.onnx` and `weights.bin` go; made.
        precision: of the bundle's graphs.

    Returns:
        The graph's file.

    Raises:
        UserError: no such bundle or precision, a wrong hash, a search that draws numbers, a folder that is there, or
            TensorFlow in this process; or the graph gives another text than the bundle for a test vector.
    """
    if "tensorflow" in sys.modules:
        raise UserError("text graph: onnxruntime-extensions crashes beside TensorFlow, which is loaded")
    generator = Generator.load(bundle, precision)
    opened = generator.bundle
    if opened.manifest.decoding.strategy == "sample":
        raise UserError(
            f"{opened.path}: samples by default, and a graph draws no numbers; export it with another search"
        )
    if os.path.lexists(folder):
        raise UserError(f"{folder}: is there already; remove it or choose another folder")
    building = Path(f"{folder}.building-{os.getpid()}")
    try:
        _write(opened, precision, building)
        _check(building / MODEL, generator)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Path(folder) / MODEL


def _write(opened: Bundle, precision: str, folder: Path) -> None:
    name = find_graph(opened, precision, opened.manifest.default_graph)
    search = onnx.load(opened.file(opened.manifest.graphs[precision][name].path), load_external_data=False)
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(text_graph(search, opened).SerializeToString())
    opened.copy_weights(precision, folder)


def text_graph(search: ModelProto, opened: Bundle) -> ModelProto:
    """A searching graph between the bundle's tokenizers.

    Args:
        search: takes ids; its weights may be in another file.
        opened: the bundle that it is of.
    """
    manifest = opened.manifest
    files = manifest.tokenizers.source, manifest.tokenizers.target
    source, target = (Tokenizer.load(opened.file(file.path)) for file in files)
    parts = _part(_ENCODE, source), search.graph, _part(_DECODE, target)
    graph = GraphProto(name="text", input=parts[0].input[:1], output=parts[2].output)
    for part in parts:
        graph.node.extend(part.node)
        graph.initializer.extend(part.initializer)
    values = {**default_feeds(target, manifest.decoding), "longest": np.array([manifest.limits.max_source_tokens])}
    given = {value.name for part in parts for value in part.output} | {"source"}
    asked = dict.fromkeys(value.name for part in parts for value in part.input if value.name not in given)
    graph.initializer.extend(numpy_helper.from_array(values[name], name) for name in asked)
    domains = {opset.domain: opset.version for opset in search.opset_import} | {"": _OPSET, EXTENSIONS: 1}
    opsets = [helper.make_opsetid(*opset) for opset in domains.items()]
    return ModelProto(ir_version=_IR_VERSION, producer_name=search.producer_name, opset_import=opsets, graph=graph)


def _part(text: str, tokenizer: Tokenizer) -> GraphProto:
    """A graph of what was written; all but its inputs and outputs have names that the search does not have."""
    part = parser.parse_graph(text)
    shared = {value.name for value in (*part.input, *part.output)}

    def own(names: Iterable[str]) -> list[str]:
        return [name if name in shared else f"{part.name}/{name}" for name in names]

    for graph in _with_bodies(part):
        for node in graph.node:
            node.input[:], node.output[:] = own(node.input), own(node.output)
            if node.domain == EXTENSIONS:
                node.attribute.append(helper.make_attribute("model", tokenizer.model))
            if node.op_type == "RegexFullMatch":
                node.attribute.append(helper.make_attribute("pattern", BLANK))
        for value in (*graph.input, *graph.output, *graph.initializer):
            (value.name,) = own([value.name])
    return part


def _with_bodies(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.HasField("g"):
            yield from _with_bodies(attribute.g)


def _check(path: Path, generator: Generator) -> None:
    """Runs the written graph on the texts of the tokenizer's test vectors."""
    options = session_options()
    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    session = make_session(path, options)
    opened = generator.bundle
    texts = [vector.text for vector in opened.manifest.tokenizers.source.test_vectors]
    ours = session.run(["text"], {"source": np.array(texts, object)})[0].tolist()
    theirs = [hypotheses[0].text for hypotheses in generator(texts)]
    for text, a, b in zip(texts, ours, theirs, strict=True):
        if a != b:
            raise UserError(f"{opened.path}: of {text!r} the text graph makes {a!r}, and the bundle {b!r}")
