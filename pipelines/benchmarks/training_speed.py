"""How many tokens a second training takes: this project's forms and, beside them, OpenNMT-tf, in alternation.

The Transformer of the Multi30k recipe on its data: 4+4 layers, D 128, feed-forward 256, joint BPE 10,000, dropout 0.1,
label smoothing 0.1, batches of 4,096 tokens. Counted are source and target tokens, padding left out.

Usage: python training_speed.py [--steps 300] [--rounds 3] [--forms float32 bfloat16] [--opennmt PYTHON]

bfloat16 is of use where the processor has AVX512-BF16. PYTHON is the interpreter of an environment with
OpenNMT-tf 2.32. Each measurement is a process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import keras_s2s  # noqa: F401  before Keras: it chooses how TensorFlow computes

DATA = Path(os.environ["KERAS_S2S_DATA"]) / "multi30k" / "tok"
FORMS = ("float32", "bfloat16")
WARM_UP = 100


def prepare(folder: Path) -> None:
    """Trains the tokenizer and writes the data in pieces."""
    from keras_s2s import text
    from keras_s2s.data import read_lines

    sides = {
        side: read_lines(DATA / f"train.lc.norm.tok.{name}") for side, name in (("source", "en"), ("target", "de"))
    }
    tokenizer = text.train([*sides["source"], *sides["target"]], 10000, kind="bpe", normalization="identity")
    tokenizer.save(folder / "pieces.model")
    for side, lines in sides.items():
        pieces = (" ".join(tokenizer.pieces(ids)) for ids in tokenizer.encode(lines))
        (folder / f"train.{side}").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    words = tokenizer.pieces(range(4, tokenizer.vocabulary_size))
    (folder / "vocabulary.txt").write_text("\n".join(["<blank>", "<s>", "</s>", *words]) + "\n", encoding="utf-8")


def measure(folder: Path, precision: str, steps: int) -> None:
    """Prints this project's speed, the time of compilation and warm-up left out."""
    import time

    import keras

    from keras_s2s.data import Batches, Pairs, encode, read_lines
    from keras_s2s.losses import CrossEntropy
    from keras_s2s.memory import keep_freed_memory
    from keras_s2s.models import ModelConfig, TransformerDecoderConfig, TransformerEncoderConfig, build
    from keras_s2s.text import Tokenizer
    from keras_s2s.training import OptimizerConfig, make_optimizer
    from keras_s2s.training.precision import use

    keep_freed_memory()
    tokenizer = Tokenizer.load(folder / "pieces.model")
    pairs = Pairs(*(read_lines(DATA / f"train.lc.norm.tok.{side}") for side in ("en", "de")))
    batches = Batches(encode(pairs, tokenizer, tokenizer), tokens=4096, maximum_length=100)
    shape = {"layers": 4, "heads": 4, "feed_forward": 256}
    model = build(
        ModelConfig(
            width=128,
            encoder=TransformerEncoderConfig(**shape),
            decoder=TransformerDecoderConfig(**shape),
            dropout=0.1,
            share_embeddings=True,
            tie_output=True,
            source_vocabulary=tokenizer.vocabulary_size,
            target_vocabulary=tokenizer.vocabulary_size,
        )
    )
    use(model, precision)
    model.compile(optimizer=make_optimizer(OptimizerConfig(), steps), loss=CrossEntropy(0.1))
    times: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    model.fit(batches.dataset(), steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[clock])
    tokens = sum(map(batches.tokens_at, range(WARM_UP, steps)))
    print(f"{tokens / (times[-1] - times[WARM_UP - 1]):.0f}")


def main() -> None:
    """Measures all in turn, several times, and prints medians and spreads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS)
    parser.add_argument("--opennmt")
    parser.add_argument("--measure", nargs=2)
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps {options.steps}: the first {WARM_UP} are not counted; give more")
    if options.measure:
        return measure(Path(options.measure[0]), options.measure[1], options.steps)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        commands = {form: [sys.executable, __file__, "--measure", folder, form] for form in options.forms}
        for command in commands.values():
            command += ["--steps", str(options.steps)]
        if options.opennmt:
            script = Path(__file__).with_name("opennmt_speed.py")
            commands["OpenNMT-tf"] = [options.opennmt, str(script), folder, str(options.steps)]
        found: dict[str, list[float]] = {form: [] for form in commands}
        for _ in range(options.rounds):
            for form, command in commands.items():
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                found[form].append(float(done.stdout.split()[-1]))
                print(f"{form:12} {found[form][-1]:8,.0f} tokens/s", flush=True)
    for form, speeds in found.items():
        print(f"{form:12} median {median(speeds):8,.0f}, {min(speeds):,.0f} to {max(speeds):,.0f}")


if __name__ == "__main__":
    main()
