"""Every encoder with every decoder, by every strategy: Keras, the SavedModel and ONNX in float32 say the same.

What they are asked is drawn, shapes and options alike, with the least and the largest among them. The models are tiny
and have large random weights, so that their outputs are of every length and beams matter.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, product
from typing import Any, NamedTuple

import numpy as np
import pytest

from keras_s2s.bundle import Decoding, strategy_and_features
from keras_s2s.decoding import FEATURES, INPUTS
from keras_s2s.export import onnx_graph, saved_model
from keras_s2s.export.calibrate import calibrate
from keras_s2s.export.forms import Form, SavedModelForm, keras_form, onnx_form, programs_of
from keras_s2s.export.quantize import int8
from keras_s2s.layers import CELLS, MIXERS
from keras_s2s.models import (
    CRFHeadConfig,
    CTCHeadConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    assembly,
    build,
)
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import candidates
from keras_s2s.runtime.prefixes import NEW_WORD
from keras_s2s.text import Tokenizer, train
from keras_s2s.text.padding import pad

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

# No multiple of what a processor takes at once, vocabulary and width alike.
V, WIDTH = 21, 12
LONGEST = 9
GROUPS = 2
DRAWS = 6
HEADS = ("ctc_greedy", "ctc_beam", "viterbi", "posterior")
SEARCHES = tuple(strategy for strategy in INPUTS if strategy not in HEADS)
EDGES = (1, 2, 3, 4, V - 1)
SIZES: dict[str, Any] = {"layers": 1, "heads": 2, "feed_forward": 16}
ENCODERS: dict[str, Any] = {
    **{kind: {"kind": kind} for kind in CELLS},
    "transformer": TransformerEncoderConfig(**SIZES),
}
DECODERS: dict[str, Any] = {
    **{kind: {"kind": kind} for kind in CELLS},
    **{kind: {"kind": kind, **SIZES} for kind in MIXERS},
}
Arrays = Mapping[str, np.ndarray]


class Case(NamedTuple):
    """The parts of a model, and its graphs."""

    parts: dict[str, Any]
    graphs: tuple[str, ...]


PAIRS = {
    f"{e} to {d}": Case({"encoder": ENCODERS[e], "decoder": DECODERS[d]}, SEARCHES)
    for e, d in product(ENCODERS, DECODERS)
}
LABELLERS = {
    f"heads of {e}": Case({"encoder": ENCODERS[e], "ctc": CTCHeadConfig(), "crf": CRFHeadConfig()}, HEADS)
    for e in ENCODERS
}
OPTIONS: dict[str, Any] = {**SIZES, "positions": "rotary", "norm": "rms", "activation": "swiglu"}
WITH_FEATURES = {
    "features": Case(
        {
            "encoder": TransformerEncoderConfig(**OPTIONS),
            "decoder": TransformerDecoderConfig(**OPTIONS),
            "ctc": CTCHeadConfig(upsampling=2),
        },
        ("beam-constrained-coverage-joint", "sample-constrained-shortlist"),
    ),
}
OF_THEIR_OWN: dict[str, Any] = {"layers": 2, "head_width": 8, "feed_forward": [7, 16]}
WITH_SIZES = {
    "sizes of each layer": Case(
        {
            "encoder": TransformerEncoderConfig(**OF_THEIR_OWN, heads=[3, 1]),
            "decoder": TransformerDecoderConfig(**OF_THEIR_OWN, heads=[1, 3], memory_heads=[2, 1]),
        },
        ("beam", "greedy", "score", "align"),
    ),
    "heads of the memory": Case(
        {
            "encoder": TransformerEncoderConfig(
                **SIZES | {"heads": 3}, head_width=6, positions="alibi", slopes=[0.5, 0.25, 0.0625]
            ),
            "decoder": SSRUDecoderConfig(**OF_THEIR_OWN, heads=2, memory_heads=[3, 1]),
        },
        ("greedy",),
    ),
}
CASES = PAIRS | LABELLERS | WITH_FEATURES | WITH_SIZES
# A strategy knows a decoder by its step alone, so one goes through all of them. Every encoder, every decoder by a
# search that branches, every strategy, every head of every encoder, every feature.
QUICK = {
    **{name: CASES[name] for name in ("transformer to transformer", *LABELLERS, *WITH_FEATURES, *WITH_SIZES)},
    "lstm to lstm": CASES["lstm to lstm"]._replace(graphs=("beam", "score", "align")),
    "gru to gru": CASES["gru to gru"]._replace(graphs=("beam", "sample")),
    "lstm to ssru": CASES["lstm to ssru"]._replace(graphs=("beam", "greedy")),
}


class Exported(NamedTuple):
    """A model in all its forms."""

    case: Case
    forms: dict[str, Form]


class Question(NamedTuple):
    """What forms are asked: sentences in a batch, each with the target that is scored, and options."""

    sentences: list[Sentence]
    targets: list[list[int]]
    decoding: Decoding
    suppressed: list[list[int]]
    shortlist: np.ndarray

    def inputs(self) -> Arrays:
        """All that any graph takes."""
        arrays = feeds(self.sentences, self.decoding, V, self.suppressed, self.shortlist, np.arange(V) % 3 == 1)
        return {**arrays, "target_ids": pad(self.targets)}

    def alone(self) -> Iterator["Question"]:
        """Each sentence in a batch of its own."""
        for sentence, target in zip(self.sentences, self.targets, strict=True):
            yield self._replace(sentences=[sentence], targets=[target])


def drawn(strategy: str, seed: int) -> Question:
    """A question: the first are of sources of nothing but EOS, and of the longest."""
    rng = np.random.default_rng(seed)

    def one(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    def row(longest: int) -> list[int]:
        length = one(0, 1, longest, int(rng.integers(longest + 1)))
        length = {0: 0, 1: longest}.get(seed, length)
        return [*(one(*EDGES, *range(4, V)) for _ in range(length)), 2]

    beam_size = one(1, 2, 4, V + 2) if strategy in ("beam", "diverse", "ctc_beam") else 1
    most = {"sample": 4, "diverse": GROUPS * beam_size}.get(strategy, beam_size)
    decoding = Decoding.model_construct(
        strategy=strategy,
        beam_size=beam_size,
        n_best=int(rng.integers(1, most + 1)),
        max_length_factor=one(0.0, 0.5, 1.0),
        max_length_extra=one(1, 5) if seed else 0,
        length_penalty=one(0.0, 0.6, 1.0),
        length_penalty_base=one(0.0, 5.0),
        word_reward=one(0.0, 0.3),
        patience=one(1.0, 2.0),
        exhaustive=one(False, True),
        diversity=one(0.0, 0.5),
        temperature=one(0.5, 1.0, 2.0),
        top_k=one(0, 1, 5, V + 2),
        top_p=one(1.0, 0.7),
        min_p=one(0.0, 0.2),
        seed=seed,
        min_length=one(0, 3),
        no_repeat_ngram=one(0, 1, 2),
        repetition_penalty=one(1.0, 1.3),
        allow_unknown=one(False, True),
        coverage_penalty=one(0.0, 0.2),
        ctc_weight=one(0.0, 0.3, 1.0),
    )
    sentences = [
        Sentence(row(LONGEST), number, one([], [4], [NEW_WORD]) if seed else []) for number in range(one(3, 6))
    ]
    suppressed = one([], [[5], [6, 7]])
    shortlist = np.array([0, 1, 2, 3, 4, *sorted(rng.permutation(np.arange(5, V))[: V // 2])], "int32")
    return Question(sentences, [row(LONGEST - 2) for _ in sentences], decoding, suppressed, shortlist)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["abcdefghijklmnopq"], V, kind="char", normalization="identity")


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(case, id=name) for name, case in QUICK.items()),
        *(
            pytest.param(case, id=f"{name}, everything", marks=pytest.mark.slow)
            for name, case in CASES.items()
            if case not in QUICK.values()
        ),
    ],
)
def exported(request: Any, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    case: Case = request.param
    model = build(ModelConfig(source_vocabulary=V, target_vocabulary=V, width=WIDTH, **case.parts))
    rng = np.random.default_rng(5)
    for weight in model.trainable_variables:
        scale = 0.3 if "norm" in weight.path else 1.5 * weight.shape[0] ** -0.5
        weight.assign(weight + rng.normal(scale=scale, size=weight.shape))
    folder = tmp_path_factory.mktemp("forms")
    programs = programs_of(model, case.graphs, GROUPS)
    graphs = {name: onnx_graph.expand(*onnx_graph.convert(program)) for name, program in programs.items()}
    alone = [one.inputs() for seed in range(100, 104) for one in drawn("greedy", seed).alone()]
    scales = calibrate(graphs.values(), alone)
    onnx_graph.write(graphs, folder / "fp32")
    onnx_graph.write({name: int8(graph, scales) for name, graph in graphs.items()}, folder / "int8")
    first, _ = strategy_and_features(case.graphs[0])
    path, tokenizers = folder / "saved_model", (tokenizer, tokenizer)
    saved_model.save(model, programs, case.graphs[0], *tokenizers, drawn(first, 1).decoding, LONGEST, path)
    forms = {p: onnx_form(folder / p, case.graphs, V) for p in ("fp32", "int8")}
    return Exported(case, {**forms, "keras": keras_form(programs, V), "saved_model": SavedModelForm(path, V)})


def questions(graph: str) -> Iterator[Question]:
    strategy, _ = strategy_and_features(graph)
    return (drawn(strategy, seed) for seed in range(DRAWS))


class Said(NamedTuple):
    """One result for a sentence: tokens, if they are not given, and numbers: scores, or where the model looked.

    Behind the tokens stands whether they ended by themselves.
    """

    tokens: tuple[int, ...]
    numbers: np.ndarray


def answers(form: Form, graph: str, question: Question) -> list[list[Said]]:
    """What a form says of each sentence, best first."""
    found = form.run(graph, question.inputs())
    if graph == "score":
        rows = zip(found["token_scores"], question.targets, strict=True)
        return [[Said((), scores[: len(target)])] for scores, target in rows]
    if graph == "align":
        looked = zip(found["attention"], question.targets, question.sentences, strict=True)
        return [[Said((), weights[: len(target), : len(sentence)])] for weights, target, sentence in looked]
    return [
        [Said((*c.tokens, bool(c.finished)), np.array([c.score, *c.token_scores])) for c in some]
        for some in candidates(found)
    ]


def tokens_of(said: list[list[Said]]) -> list[list[tuple[int, ...]]]:
    return [[one.tokens for one in some] for some in said]


def test_every_kind_is_here() -> None:
    assert set(ENCODERS) == {*CELLS, *assembly.ENCODERS}
    assert set(DECODERS) == {*CELLS, *MIXERS, *assembly.DECODERS}
    graphs = {graph for name in QUICK for graph in QUICK[name].graphs}
    assert graphs >= set(INPUTS)
    assert {feature for graph in graphs for feature in strategy_and_features(graph)[1]} == set(FEATURES)
    encoders, decoders = zip(*(name.split(" to ") for name in QUICK.keys() & PAIRS.keys()), strict=True)
    assert set(encoders) == set(ENCODERS)
    assert set(decoders) == set(DECODERS)


def test_forms_say_the_same(exported: Exported) -> None:
    for graph in exported.case.graphs:
        different = set()
        for number, question in enumerate(questions(graph)):
            theirs = answers(exported.forms["keras"], graph, question)
            different |= {one.tokens for some in theirs for one in some}
            for form in ("saved_model", "fp32"):
                ours, where = answers(exported.forms[form], graph, question), f"{graph} in {form}, question {number}"
                assert tokens_of(ours) == tokens_of(theirs), where
                for a, b in zip(chain(*ours), chain(*theirs), strict=True):
                    np.testing.assert_allclose(a.numbers, b.numbers, rtol=0, atol=1e-4, err_msg=where)
        assert graph in ("score", "align") or len(different) > DRAWS


def test_int8_says_of_a_sentence_the_same_to_the_byte_in_any_batch(exported: Exported) -> None:
    form = exported.forms["int8"]
    for graph in exported.case.graphs:
        for number, question in enumerate(questions(graph)):
            together = answers(form, graph, question)
            alone = [answers(form, graph, one)[0] for one in question.alone()]
            assert tokens_of(together) == tokens_of(alone), (graph, number)
            for a, b in zip(chain(*together), chain(*alone), strict=True):
                assert a.numbers.tobytes() == b.numbers.tobytes(), (graph, number)


def test_a_row_of_nothing_leaves_the_others_as_they_are(exported: Exported) -> None:
    for graph in exported.case.graphs:
        question = next(asked for asked in questions(graph) if len(asked.sentences) > 2)
        emptied = [question.sentences[0], Sentence([], 1), *question.sentences[2:]]
        for name, form in exported.forms.items():
            expected, found = answers(form, graph, question), answers(form, graph, question._replace(sentences=emptied))
            assert all(np.isfinite(one.numbers).all() for one in found[1])
            del expected[1], found[1]
            assert tokens_of(found) == tokens_of(expected), (name, graph)
            for a, b in zip(chain(*found), chain(*expected), strict=True):
                np.testing.assert_allclose(a.numbers, b.numbers, rtol=0, atol=0 if name == "int8" else 1e-4)
