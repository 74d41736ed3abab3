"""Trains OpenNMT-tf 2.32 for some steps, in an environment of its own, and prints its tokens a second.

Usage: python opennmt_speed.py FOLDER STEPS. The folder has train.source, train.target and vocabulary.txt, which
training_speed.py writes. OpenNMT-tf logs its speed every 50 steps; the first 100 steps are warm-up.
"""

import logging
import re
import shutil
import sys
from pathlib import Path
from statistics import median

import opennmt

WARM_UP, EVERY = 100, 50


class Speeds(logging.Handler):
    """Collects source and target tokens a second from the log."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Reads a line such as "Step = 150 ; steps/s = 2.71, tokens/s = 9616 (4585 source, 5031 target) ; ..."."""
        if match := re.search(r"Step = (\d+).*tokens/s = (\d+)", record.getMessage()):
            step, tokens = map(int, match.groups())
            if step > WARM_UP:
                self.found.append(tokens)


def main(folder: Path, steps: int) -> None:
    """Trains and prints."""
    speeds = Speeds()
    logging.getLogger("tensorflow").addHandler(speeds)
    logging.getLogger("tensorflow").setLevel(logging.INFO)
    run = folder / "opennmt"
    shutil.rmtree(run, ignore_errors=True)
    vocabulary = str(folder / "vocabulary.txt")
    model = opennmt.models.Transformer(
        opennmt.inputters.WordEmbedder(embedding_size=128),
        opennmt.inputters.WordEmbedder(embedding_size=128),
        num_layers=4,
        num_units=128,
        num_heads=4,
        ffn_inner_dim=256,
        dropout=0.1,
        attention_dropout=0.1,
        ffn_dropout=0.1,
        share_embeddings=opennmt.models.EmbeddingsSharingLevel.ALL,
    )
    config = {
        "model_dir": str(run),
        "data": {
            "source_vocabulary": vocabulary,
            "target_vocabulary": vocabulary,
            "train_features_file": str(folder / "train.source"),
            "train_labels_file": str(folder / "train.target"),
        },
        "params": {
            "optimizer": "LazyAdam",
            "optimizer_params": {"beta_1": 0.9, "beta_2": 0.998},
            "learning_rate": 1.0,
            "decay_type": "NoamDecay",
            "decay_params": {"model_dim": 128, "warmup_steps": 2000},
            "label_smoothing": 0.1,
        },
        "train": {
            "batch_size": 4096,
            "batch_type": "tokens",
            "effective_batch_size": None,
            "length_bucket_width": 1,
            "maximum_features_length": 100,
            "maximum_labels_length": 100,
            "sample_buffer_size": -1,
            "max_step": steps,
            "save_summary_steps": EVERY,
            "save_checkpoints_steps": None,
        },
    }
    opennmt.Runner(model, config, seed=1).train()
    print(f"{median(speeds.found):.0f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
