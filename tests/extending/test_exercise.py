"""Four pieces written from docs/extending.md alone work, alone and together."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
import yaml

from keras_s2s import UserError, bundle, recipe, text
from keras_s2s.data import AUGMENTATIONS, READERS, Batches, Pairs, encode
from keras_s2s.decoding import registry
from keras_s2s.layers import CELLS
from keras_s2s.runtime import Generator
from keras_s2s.testing.augmentations import check_augmentation
from keras_s2s.testing.cells import check_cell
from keras_s2s.testing.readers import check_reader

WORDS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "elf": "ten one", "zwölf": "ten two"}
RECIPE: dict[str, Any] = {
    "name": "numbers",
    "task": "translation",
    "data": {split: {"memory": f"{split}.tmx", "languages": ["de", "en"]} for split in ("train", "dev", "test")},
    "tokenizer": {"kind": "word", "vocabulary_size": 20},
    "model": {"width": 32, "encoder": {"kind": "mgu"}, "decoder": {"kind": "mgu"}},
    "training": {
        "epochs": 16,
        "tokens": 256,
        "optimizer": {"schedule": {"kind": "cosine", "learning_rate": 0.02}},
        "augmentations": [
            {"kind": "drop_words", "rate": 0.02},
            {"kind": "drop_words", "rate": 0.02, "leave_out": True},
        ],
    },
    "decoding": {"strategy": "beam", "beam_size": 3},
    "export": {"graphs": ["beam", "beam-logarithmic"]},
    "metrics": ["exact_match"],
}


def memory(rows: Sequence[tuple[str, str]]) -> bytes:
    """A translation memory; the languages of a unit come in any order, and with countries or without."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n<header srclang="de"/>\n<body>\n'
    units = [
        f'<tu>\n<tuv xml:lang="en-GB"><seg>{escape(target)}</seg></tuv>\n'
        f'<tuv xml:lang="DE"><seg>{escape(source)}</seg></tuv>\n</tu>\n'
        for source, target in rows
    ]
    return f"{head}{''.join(units)}</body>\n</tmx>\n".encode()


def phrases(count: int, seed: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(seed)
    sources = [
        [str(word) for word in random.choice([*WORDS], random.integers(1, 5), replace=False)] for _ in range(count)
    ]
    return [(" ".join(source), " ".join(WORDS[word] for word in source)) for source in sources]


@pytest.fixture(scope="module")
def pieces() -> Iterator[Any]:
    """The pieces, registered once; the registries forget them."""
    spec = importlib.util.spec_from_file_location("pieces_of_the_exercise", Path(__file__).with_name("pieces.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        kept = [(each, set(each)) for each in (READERS, AUGMENTATIONS, CELLS, registry.features)]
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module
        for each, before in kept:
            for name in each.keys() - before:
                each.remove(name)


@pytest.fixture(scope="module")
def made(pieces: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a recipe with all four pieces."""
    folder = tmp_path_factory.mktemp("exercise")
    for seed, (split, count) in enumerate({"train": 400, "dev": 30, "test": 20}.items(), start=1):
        (folder / f"{split}.tmx").write_bytes(memory(phrases(count, seed)))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return recipe.run(recipe.load("recipe.yaml")).absolute()


def test_the_reader_keeps_its_contract(pieces: Any, tmp_path: Path) -> None:
    content = memory([("eins", "one"), ("R&D <x>", "research")])
    content = content.replace(b"<seg>one<", b"<seg>one <ph>{b}</ph><hi>or</hi>\r\n a few<")
    (tmp_path / "a.tmx").write_bytes(content)
    check_reader(
        {"memory": "a.tmx", "languages": ["de", "en"]},
        tmp_path,
        expected=Pairs(["eins", "R&D <x>"], ["one or a few", "research"]),
        mistakes={
            "line 9: the unit has no text in 'de'": memory([("eins", "one"), (" ", "two")]),
            "line 5: the unit has no text in 'en'": memory([("eins", "one")]).replace(b"en-GB", b"eng"),
            "line 8: broken XML: mismatched tag": memory([("eins", "one")]).replace(b"</tu>", b"</tv>"),
            "line 6: the file ends without a unit": memory([]),
        },
    )


def test_languages_are_those_of_the_recipe(pieces: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tmx"
    path.write_bytes(memory([("eins", "one")]))
    assert pieces.read_tmx(path, ["en", "de"]) == Pairs(["one"], ["eins"])
    with pytest.raises(UserError) as error:
        pieces.read_tmx(path, ["de", "fr"])
    assert str(error.value) == f"{path}: line 5: the unit has no text in 'fr'"


def test_a_recipe_without_languages_is_one_line(pieces: Any, tmp_path: Path) -> None:
    data = {**RECIPE["data"], "dev": {"memory": "dev.tmx"}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "data": data}))
    with pytest.raises(UserError, match=r"languages") as error:
        recipe.load(tmp_path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("leave_out", [False, True])
def test_words_are_hidden_at_their_rate(pieces: Any, leave_out: bool) -> None:
    sources = [" ".join(f"w{n}" for n in range(length)) for length in range(1, 60)]
    tokenizer = text.train(sources, 70, kind="word")
    options = {"kind": "drop_words", "rate": 0.3, "leave_out": leave_out}
    examples = check_augmentation(options, Pairs(sources, sources), tokenizer, tokenizer)
    plain = tokenizer.encode(sources)
    assert [list(row[:-1]) for row in examples.labels] == plain
    total = sum(map(len, plain))
    rows = [list(row[:-1]) for row in examples.sources]
    hidden = total - sum(map(len, rows)) if leave_out else sum(row.count(pieces.UNKNOWN) for row in rows)
    assert hidden / total == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / total) ** 0.5)
    for row, before in zip(rows, plain, strict=True):
        kept = [word for word in row if word != pieces.UNKNOWN]
        assert kept == [word for word in before if word in kept]
        assert leave_out or len(row) == len(before)


def test_a_batch_is_the_same_again_and_another_epoch_is_not(pieces: Any) -> None:
    sources, targets = zip(*phrases(50, 4), strict=True)
    tokenizer = text.train([*sources, *targets], 20, kind="word")
    examples = encode(Pairs(sources, targets), tokenizer, tokenizer)
    epochs = []
    for epoch in (0, 0, 1):
        batches = Batches(examples, tokens=10_000, augmentations=[pieces.DropWords(rate=0.5)])
        inputs, labels, _ = batches.at(epoch)
        order = np.lexsort(labels.T)
        epochs.append(((inputs["source_ids"] == pieces.UNKNOWN).sum(1)[order], labels[order]))
    np.testing.assert_array_equal(epochs[0][0], epochs[1][0])
    np.testing.assert_array_equal(epochs[0][1], epochs[2][1])
    assert (epochs[0][0] != epochs[2][0]).any()


def test_the_cell_keeps_its_contract(pieces: Any) -> None:
    check_cell("mgu")


@pytest.mark.parametrize("backwards", [False, True])
def test_the_cell_is_a_slow_loop(pieces: Any, backwards: bool) -> None:
    rng = np.random.default_rng(1)
    x, state = rng.normal(size=(3, 5, 4)).astype("float32"), rng.normal(size=(3, 6)).astype("float32")
    mask = np.arange(5) < np.array([[5], [2], [4]])
    cell = pieces.MGU(6, backwards)
    cell(x)
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape))
    y, (last,) = cell(x, (state,), mask)
    wx, b = cell.forget_x.get_weights()
    vx, d = cell.candidate_x.get_weights()
    (u,), (r,) = cell.forget_h.get_weights(), cell.candidate_h.get_weights()
    for row in range(3):
        h, expected = state[row], np.zeros((5, 6))
        for place in reversed(range(5)) if backwards else range(5):
            if mask[row, place]:
                f = 1 / (1 + np.exp(-(x[row, place] @ wx + h @ u + b)))
                h = (1 - f) * h + f * np.tanh(x[row, place] @ vx + (f * h) @ r + d)
                expected[place] = h
        np.testing.assert_allclose(y[row], expected, atol=1e-5)
        np.testing.assert_allclose(last[row], h, atol=1e-5)


def test_it_is_trained_and_all_forms_agree(made: Path) -> None:
    manifest = bundle.read(made).manifest
    assert manifest.model["encoder"]["kind"] == manifest.model["decoder"]["kind"] == "mgu"
    assert {*manifest.graphs["fp32"]} == {*manifest.graphs["int8"]} == {*RECIPE["export"]["graphs"]}
    for precision in manifest.graphs.values():
        assert precision["beam-logarithmic"].options["log_length"].default == 0
        assert precision["beam"].options == {}
    compared = {comparison["decoding"] for comparison in manifest.verification["comparisons"]}
    assert any("logarithmic" in decoding for decoding in compared), compared
    assert manifest.metrics["ONNX fp32"]["exact_match"] > 80


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_score_is_divided_by_the_penalty(made: Path, precision: str) -> None:
    generator = Generator.load(made, precision)
    texts = ["eins", "zwei drei", "elf zwölf vier"]
    for alpha in (0.0, 0.4, 3.0):
        for hypotheses in generator(texts, n_best=3, own={"log_length": alpha}):
            scores = [hypothesis.score for hypothesis in hypotheses]
            assert scores == sorted(scores, reverse=True)
            for hypothesis in hypotheses:
                n = len(hypothesis.tokens) + hypothesis.finished
                divisor = 1 + alpha * np.log(n) if alpha else n
                assert hypothesis.score == pytest.approx(sum(hypothesis.token_scores) / divisor, rel=1e-4, abs=1e-5)
    assert generator.plan({"own": {"log_length": 0.4}}, False).graph == "beam-logarithmic"
    assert generator.plan({"own": {"log_length": 0.0}}, False).graph == "beam"


def ask(made: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Asks the command line, in a process that knows none of the pieces."""
    line = [sys.executable, "-m", "keras_s2s.cli", "generate", str(made), *arguments]
    return subprocess.run(line, input="elf zwölf vier\n", capture_output=True, text=True, check=False)


def test_the_command_line_answers(made: Path) -> None:
    done = ask(made, "--own", "log_length=0.4", "--scores")
    assert done.returncode == 0, done.stderr
    score, answer = done.stdout.rstrip("\n").split("\t")
    [[best]] = Generator.load(made)(["elf zwölf vier"], own={"log_length": 0.4})
    assert answer == best.text == "ten one ten two four"
    assert float(score) == pytest.approx(best.score, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("log_lenght=1", "log_lenght: unknown key; did you mean 'log_length'?"),
        ("log_length=-1", "log_length: Input should be greater than or equal to 0"),
    ],
)
def test_the_command_line_refuses_in_one_line(made: Path, own: str, message: str) -> None:
    done = ask(made, "--own", own)
    assert done.returncode == 2
    assert message in done.stderr
