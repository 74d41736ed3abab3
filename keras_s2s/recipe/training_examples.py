"""The stages of a recipe that encode its training pairs, align them, ask a teacher, and write down what comes of it."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from keras_s2s import training
from keras_s2s.data import Examples, Pairs
from keras_s2s.data.alignments import learn_model
from keras_s2s.data.blocks import blocks as blocks_of
from keras_s2s.data.columns import mapped_examples, slices
from keras_s2s.data.corpus_map import Part
from keras_s2s.data.examples import Texts
from keras_s2s.data.preparing import Aligning, Encoding
from keras_s2s.recipe.training_map import Context, block_size, training_map
from keras_s2s.text import Tokenizer

_TAUGHT = 1_000  # Pairs that a teacher is asked for together: on two cores a large one takes a minute.


def training_examples(
    pairs: Pairs,
    fingerprint: str,
    source_tokenizer: Tokenizer | None,
    target_tokenizer: Tokenizer,
    context: Context,
) -> Examples:
    """Encodes training pairs, unless that was done before.

    Args:
        pairs: of a map.
        fingerprint: of the pairs.
        source_tokenizer: None for a language model, and for features, which stay in the map of the pairs.
        target_tokenizer: of the targets.
        context: of the recipe.

    Raises:
        UserError: the map was changed.
    """
    work = Encoding(None if source_tokenizer is None else source_tokenizer.model, target_tokenizer.model)
    inputs = {"the training pairs": fingerprint, "the tokenizers": work.fingerprint}
    # Where sources are not encoded, nobody reads them.
    read = pairs if source_tokenizer is not None else Pairs(pairs.targets, pairs.targets, pairs.weights)
    blocks = (block for block, _ in slices(read, block_size(is_speech=False)))
    corpus = training_map("examples", inputs, lambda: work, blocks, len(pairs), context)
    return mapped_examples(corpus, Texts(pairs.sources, pairs.targets, source_tokenizer, target_tokenizer))


def training_alignments(examples: Examples, fingerprint: str, context: Context) -> Examples:
    """Aligns training examples for guided alignment, see `data.learn_alignments`, unless that was done before.

    Args:
        examples: of a map.
        fingerprint: of the pairs and the tokenizers.
        context: of the recipe.

    Raises:
        UserError: the map was changed.
    """
    sources, labels = examples.sources, examples.labels
    assert sources is not None

    def work() -> Aligning:
        return Aligning(learn_model(sources, labels))

    both = ((sources[span], labels[span]) for span in blocks_of(len(labels), block_size(is_speech=False)))
    inputs = {"the training examples": fingerprint}
    corpus = training_map("alignments", inputs, work, both, len(labels), context)
    alignments: Any = corpus.columns["alignment"]
    return dataclasses.replace(examples, alignments=alignments)


def training_teacher(
    examples: Examples, inputs: Mapping[str, str], teaching: Callable[[], training.Teaching], context: Context
) -> Examples:
    """Adds a teacher's labels to training examples, unless that was done before.

    Args:
        examples: of a map. If they have labels that were made from the same things, they are returned as they are.
        inputs: what the labels depend on, see `MadeFrom`.
        teaching: loads the teacher.
        context: of the recipe.

    Raises:
        UserError: the map was changed.
    """
    fingerprint = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    if examples.teacher is not None and examples.teacher.fingerprint == fingerprint:
        return examples

    def work() -> Callable[[Examples], Part]:
        asked = teaching()
        return lambda block: training.as_part(asked(block))

    sources, labels = examples.sources, examples.labels
    spans = blocks_of(len(labels), _TAUGHT)
    blocks = (Examples(None if sources is None else sources[span], labels[span]) for span in spans)
    corpus = training_map("teacher", inputs, work, blocks, len(labels), context)
    return dataclasses.replace(examples, teacher=training.mapped_teacher_labels(corpus, fingerprint))
