"""Every encoder with every decoder by every strategy: trained for a moment, exported, compared, laid out as a table.

    python pipelines/family/family.py FOLDER

writes FOLDER/ENCODER-DECODER, a bundle each, and FOLDER/table.md. An export compares the forms of a model and fails if
they differ; what is finished is not done again. The data are Multi30k's, in the folder that KERAS_S2S_DATA names.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import keras_s2s as s2s  # isort: skip
import keras
import onnx

from keras_s2s import bundle
from keras_s2s.data import Pairs, batches, read_pairs
from keras_s2s.evaluation import markdown_table
from keras_s2s.export.passes import all_graphs
from keras_s2s.models import (
    GRUDecoderConfig,
    GRUEncoderConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from keras_s2s.text import Tokenizer, train

# Unequal depths: two layers read, one writes.
ENCODERS = {
    "lstm": LSTMEncoderConfig(layers=2),
    "gru": GRUEncoderConfig(layers=2),
    "transformer": TransformerEncoderConfig(layers=2),
}
DECODERS = {
    "lstm": LSTMDecoderConfig(),
    "gru": GRUDecoderConfig(),
    "transformer": TransformerDecoderConfig(layers=1),
    "ssru": SSRUDecoderConfig(layers=1),
}
GRAPHS = ("greedy", "beam", "diverse", "sample", "beam-constrained-coverage")
STEPS, SENTENCES = 270, 500
HEADER = ("encoder", "decoder", "graph", "sentences", "near-ties", "score difference", "Loop", "LSTM", "GRU")


def pairs(split: str) -> Pairs:
    """A split of Multi30k, English and German, lower-cased and tokenised."""
    folder = Path(os.environ["KERAS_S2S_DATA"], "multi30k", "tok")
    return read_pairs(folder / f"{split}.lc.norm.tok.en", folder / f"{split}.lc.norm.tok.de")


def make(encoder: str, decoder: str, path: Path, tokenizer: Tokenizer, train_pairs: Pairs, dev: Pairs) -> None:
    """Trains a model for a moment and writes its bundle."""
    keras.utils.set_random_seed(1)
    vocabulary = tokenizer.vocabulary_size
    config = ModelConfig(
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
        width=64,
        encoder=ENCODERS[encoder],
        decoder=DECODERS[decoder],
        share_embeddings=True,
    )
    model = s2s.build(config)
    model.compile(optimizer=keras.optimizers.Adam(0.004), loss=s2s.losses.CrossEntropy())
    dataset = batches(train_pairs, tokenizer, tokenizer, tokens=2048).take(STEPS)
    model.fit(dataset, shuffle=False, verbose=2)
    s2s.export_bundle(model, path, tokenizer, tokenizer, dev, metrics=["bleu_tokenized"], graphs=GRAPHS, groups=2)


def rows(encoder: str, decoder: str, path: Path) -> Iterator[list[str | int]]:
    """What a bundle says of Keras against ONNX fp32, and what its graphs are made of."""
    manifest = bundle.read(path).manifest
    found = [c for c in manifest.verification["comparisons"] if c["forms"] == "keras and fp32"]
    for graph, comparison in zip(GRAPHS, found, strict=True):
        model = onnx.load(path / manifest.graphs["fp32"][graph].path, load_external_data=False)
        nodes = Counter(node.op_type for inner in all_graphs(model.graph) for node in inner.node)
        yield [
            encoder,
            decoder,
            graph,
            comparison["sentences"],
            comparison["near_ties"],
            f"{comparison['largest_score_difference']:.1e}",
            *(nodes[operator] for operator in ("Loop", "LSTM", "GRU")),
        ]


def main() -> None:
    """Makes what is missing, and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if "KERAS_S2S_DATA" not in os.environ:
        sys.exit("family.py: the environment variable KERAS_S2S_DATA is not set; set it to the data folder")
    train_pairs, dev = pairs("train"), pairs("val")
    dev = Pairs(dev.sources[:SENTENCES], dev.targets[:SENTENCES])
    tokenizer = train([*train_pairs.sources, *train_pairs.targets], 3000, normalization="identity")
    table: list[list[str | int]] = []
    for encoder, decoder in product(ENCODERS, DECODERS):
        path = folder / f"{encoder}-{decoder}"
        if not (path / bundle.MANIFEST).exists():
            print(path, flush=True)
            make(encoder, decoder, path, tokenizer, train_pairs, dev)
        table += rows(encoder, decoder, path)
    (folder / "table.md").write_text(markdown_table(HEADER, table), encoding="utf-8")
    print(f"{folder / 'table.md'}: {len(table)} graphs")


if __name__ == "__main__":
    main()
