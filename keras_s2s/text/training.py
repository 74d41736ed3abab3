"""Trains a tokenizer on lines of text."""

import io
import re
from collections.abc import Iterable
from typing import Literal

from sentencepiece import SentencePieceTrainer

from keras_s2s.errors import UserError
from keras_s2s.text.tokenizer import BOS, EOS, PADDING, UNKNOWN, Tokenizer, well_formed

Kind = Literal["unigram", "bpe", "char", "word"]
Normalization = Literal["nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf", "identity"]

_LONGEST_LINE = 2**30  # bytes, SentencePiece's limit; its default leaves out lines of more than 4192


def train(
    lines: Iterable[str],
    vocabulary_size: int,
    kind: Kind = "bpe",
    normalization: Normalization = "nmt_nfkc",
    character_coverage: float = 1.0,
) -> Tokenizer:
    """Trains a SentencePiece model. The same lines give the same model.

    Args:
        lines: the corpus. All of it is held in memory.
        vocabulary_size: the number of ids, the first four included. A character or word model has fewer if the
            corpus has fewer characters or words, and knows the most frequent ones if it has more; the other
            kinds have exactly this many.
        kind: what a piece is. A character model puts no space before the text.
        normalization: the Unicode normalization that is part of the model. "identity" leaves characters as
            they are, for text that is normalized already. Runs of spaces become one with any of them.
        character_coverage: the share of the corpus's characters that get an id of their own; the rest is
            unknown.

    Raises:
        UserError: the corpus has no text, or cannot give that many pieces, or needs more.
    """
    if vocabulary_size <= UNKNOWN + 1:
        raise UserError(f"tokenizer: vocabulary_size {vocabulary_size}: must be more than the 4 special ids")
    # Read before training, so that an error in reading stays what it is.
    corpus = [well_formed(line) for line in lines]
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(corpus),
            model_writer=model,
            model_type=kind,
            vocab_size=vocabulary_size,
            hard_vocab_limit=kind not in ("char", "word"),
            add_dummy_prefix=kind != "char",
            normalization_rule_name=normalization,
            character_coverage=character_coverage,
            max_sentence_length=_LONGEST_LINE,
            pad_id=PADDING,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNKNOWN,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(_one_line(str(error), vocabulary_size)) from None
    return Tokenizer(model.getvalue())


def _one_line(message: str, vocabulary_size: int) -> str:
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return "tokenizer: the corpus has no text; give at least one line that is not empty"
    if largest := re.search(r"set it to a value <= (\d+)", message):
        return f"tokenizer: vocabulary_size {vocabulary_size}: too large for this corpus; {largest[1]} at most"
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"tokenizer: vocabulary_size {vocabulary_size}: too small for the characters of this corpus; "
            f"{smallest[1]} at least, or lower character_coverage"
        )
    return f"tokenizer: SentencePiece cannot train: {' '.join(message.split())}"
