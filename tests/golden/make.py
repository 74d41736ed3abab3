"""Writes a golden bundle and its answers with the version of keras_s2s that Python finds; see README.md."""

import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_s2s import Generator, ModelConfig, build, export_bundle, text
from keras_s2s.bundle import Decoding
from keras_s2s.data import Pairs
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import TransformerDecoderConfig, TransformerEncoderConfig
from keras_s2s.runtime import Steps
from keras_s2s.runtime.feeds import Sentence

LETTERS = "abcdefghij "
PRECISIONS = ("fp32", "int8")
GRAPHS = ("greedy", "beam", "greedy-constrained", "beam-constrained", "score", "beam.steps", "beam-constrained.steps")
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {"strategy": "greedy"},
    "beam": {"strategy": "beam", "beam_size": 4, "n_best": 3, "length_penalty": 0.6, "length_penalty_base": 5.0},
    "greedy, constrained": {"strategy": "greedy", "min_length": 6, "repetition_penalty": 1.2},
    "beam, constrained": {"strategy": "beam", "beam_size": 3, "no_repeat_ngram": 2, "suppress": ["ii", "f"]},
}
PREFIXED = {"strategy": "beam", "beam_size": 4}
PREFIX = "cd"
STEPS = {"beam": "beam", "beam, constrained": "beam-constrained"}
KEPT, NOISE = 10, 0.003
STEPS_OF_TRAINING = 1500
BOS, EOS = 1, 2


def sources(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(LETTERS), size=rng.integers(1, 11))).strip() or "a" for _ in range(count)]


def target(source: str) -> str:
    """The letters behind those of a source in the alphabet, vowels twice."""
    return "".join(letter if letter == " " else chr(ord(letter) + 1) * (1 + (letter in "ae")) for letter in source)


def trained_model(tokenizer: Any) -> Any:
    """A model that has learnt to write targets, with a few mistakes; matrices just so large as to lie in a file."""
    keras.utils.set_random_seed(1)
    blocks: dict[str, Any] = {"layers": 1, "heads": 2, "feed_forward": 32}
    encoder, decoder = TransformerEncoderConfig(**blocks), TransformerDecoderConfig(**blocks)
    size = tokenizer.vocabulary_size
    config = ModelConfig(
        source_vocabulary=size, target_vocabulary=size, width=16, encoder=encoder, decoder=decoder, dropout=0.0
    )
    model = build(config)
    texts = sources(64 * STEPS_OF_TRAINING, seed=2)
    ids, targets = tokenizer.encode(texts), tokenizer.encode(list(map(target, texts)))
    inputs = {
        "source_ids": padded([[*row, EOS] for row in ids]),
        "target_ids": padded([[BOS, *row] for row in targets]),
    }
    labels = padded([[*row, EOS] for row in targets])
    rate = keras.optimizers.schedules.CosineDecay(0.0, STEPS_OF_TRAINING - 100, warmup_target=0.01, warmup_steps=100)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=CrossEntropy())
    model.fit(inputs, labels, sample_weight=(labels > 0).astype("float32"), batch_size=64, verbose=2)
    return model


def padded(rows: list[list[int]]) -> np.ndarray:
    return keras.utils.pad_sequences(rows, padding="post", dtype="int32")


def write_bundle(folder: Path, texts: Sequence[str]) -> None:
    """The bundle without the files that only reports and TensorFlow need."""
    tokenizer = text.train([LETTERS + "k"], 32, kind="char", normalization="identity")
    decoding = Decoding(strategy="beam", beam_size=4, length_penalty=0.6, length_penalty_base=5, max_length_extra=4)
    dev = Pairs(list(texts), list(map(target, texts)))
    export_bundle(trained_model(tokenizer), folder, tokenizer, tokenizer, dev, decoding=decoding, graphs=GRAPHS)
    shutil.rmtree(folder / "saved_model")
    for picture in folder.glob("*.png"):
        picture.unlink()
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"] = {name: sha256 for name, sha256 in manifest["files"].items() if "saved_model" not in name}
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "bundle.json").write_text(json.dumps(manifest, indent=2) + "\n")


def answers(folder: Path, precision: str, texts: Sequence[str]) -> dict[str, Any]:
    """All that one precision of a bundle says of texts."""
    generator = Generator.load(folder, precision, 1)
    found = {name: [list(map(told, one)) for one in generator(texts, **options)] for name, options in SEARCHES.items()}
    prefixed = generator(texts, prefix=[PREFIX] * len(texts), **PREFIXED)
    found["prefixed"] = [list(map(told, one)) for one in prefixed]
    scored = generator.score(texts, [one[0]["text"] for one in found["greedy"]])
    return {
        "searches": found,
        "steps": {name: stepwise(folder, precision, graph, name, texts) for name, graph in STEPS.items()},
        "score": [round(one.log_probability, 7) for one in scored],
    }


def told(one: Any) -> dict[str, Any]:
    scores = [round(float(score), 7) for score in one.token_scores]
    found = {"tokens": list(map(int, one.tokens)), "score": round(float(one.score), 7), "token_scores": scores}
    return {"text": one.text, **found} if hasattr(one, "text") else found


def stepwise(folder: Path, precision: str, graph: str, search: str, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """One half of the texts begins; of the other half one comes with every step."""
    steps = Steps.load(folder, graph, precision, 1)
    generator = Generator.load(folder, precision, 1)
    plan = generator.plan(SEARCHES[search], prefixed=False)
    sentences = [one for one in generator.sentences(texts, [""] * len(texts), plan.options) if one is not None]
    waiting = sentences[len(sentences) // 2 :]
    batch = steps.start(sentences[: len(sentences) // 2], plan.options, plan.suppressed)
    found: dict[int, Any] = {}
    while batch is not None:
        batch = steps.advance(batch)
        done, places = steps.finished(batch)
        found.update({sentence.number: list(map(told, candidates)) for sentence, candidates in done})
        coming, waiting = waiting[:1], waiting[1:]
        batch = steps.exchange(batch, places, begin(steps, coming, plan))
    return [found[number] for number in sorted(found)]


def begin(steps: Steps, sentences: list[Sentence], plan: Any) -> Any:
    return steps.start(sentences, plan.options, plan.suppressed) if sentences else None


def tokens(found: Any, places: Sequence[int]) -> list[Any]:
    """The tokens of every search, by text."""
    return [[[one["tokens"] for one in search[place]] for search in found["searches"].values()] for place in places]


def clear(folder: Path, texts: Sequence[str]) -> list[str]:
    """Texts of which no answer hangs on a small difference: int8 and weights with noise give the same tokens."""
    everywhere = range(len(texts))
    expected = tokens(answers(folder, "fp32", texts), everywhere)
    others = [tokens(answers(folder, "int8", texts), everywhere)]
    for seed in range(3):
        with tempfile.TemporaryDirectory() as temporary:
            noisy = Path(temporary, "noisy")
            shutil.copytree(folder, noisy)
            add_noise(noisy, seed)
            others.append(tokens(answers(noisy, "fp32", texts), everywhere))
    return [texts[place] for place in everywhere if all(other[place] == expected[place] for other in others)]


def add_noise(folder: Path, seed: int) -> None:
    weights = folder / "onnx/fp32/weights.bin"
    values = np.fromfile(weights, "float32")
    # Whole numbers, which are among the weights too, are no float32 of such a size.
    is_weight = (np.abs(values) > 1e-8) & (np.abs(values) < 1e4)
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=values.shape)
    np.where(is_weight, values * (1 + noise), values).astype("float32").tofile(weights)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["onnx/fp32/weights.bin"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_manifest(folder, manifest)


def main(out: str, commit: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, commit)
        candidates = sources(400, seed=1)
        write_bundle(folder, candidates[:100])
        good = clear(folder, list(dict.fromkeys(candidates)))
        print(f"{len(good)} texts have clear answers")
        # Of every length, the ones with the longest answers among them.
        lengths = {text: len(answers_text) for text, answers_text in zip(good, greedy_texts(folder, good), strict=True)}
        kept = sorted(sorted(good, key=lambda one: (-lengths[one], one))[:: max(1, len(good) // KEPT)][:KEPT])
        recorded = {
            "commit": commit,
            "texts": kept,
            "options": SEARCHES | {"prefixed": PREFIXED},
            "prefix": PREFIX,
            "steps": STEPS,
            "precisions": {precision: answers(folder, precision, kept) for precision in PRECISIONS},
        }
        Path(out, f"{commit}.json").write_text(json.dumps(recorded, indent=None) + "\n")
        with tarfile.open(Path(out, f"{commit}.tar.xz"), "w:xz", preset=9) as archive:
            archive.add(folder, commit, filter=plain)


def greedy_texts(folder: Path, texts: Sequence[str]) -> list[str]:
    return [one[0].text for one in Generator.load(folder, "fp32", 1)(texts, strategy="greedy")]


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of who packed it, or when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main(*sys.argv[1:])
