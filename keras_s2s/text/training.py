"""Trains tokenizers on lines of text."""

import io
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from sentencepiece import SentencePieceTrainer

from keras_s2s.errors import UserError
from keras_s2s.special_ids import BOS, EOS, PADDING, UNKNOWN
from keras_s2s.text.proto import parsed
from keras_s2s.text.tokenizer import Tokenizer, well_formed

Kind = Literal["unigram", "bpe", "char", "word"]
Normalization = Literal["nmt_nfkc", "nmt_nfkc_cf", "nfkc", "nfkc_cf", "nfd", "identity"]

_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
_LONGEST_LINE = 2**30  # bytes, SentencePiece's limit; its default leaves out lines of more than 4192


def train(
    lines: Iterable[str],
    vocabulary_size: int,
    kind: Kind = "bpe",
    normalization: Normalization = "identity",
    character_coverage: float = 1.0,
    byte_fallback: bool = False,
    symbols: Sequence[str] = (),
) -> Tokenizer:
    """Trains a SentencePiece model. The same lines give the same model.

    Args:
        lines: the corpus. All of it is held in memory.
        vocabulary_size: the number of ids, the first four included. A character or word model has fewer if the
            corpus has fewer characters or words, and knows the most frequent ones if it has more; the other
            kinds have exactly this many.
        kind: what a piece is. A character model puts no space before the text.
        normalization: the Unicode normalization that is part of the model, so that every text that the model ever
            reads is normalized. "identity" leaves characters as they are. With any other a target's tokenizer can
            only write normalized text. "nmt_nfkc", good for sources, makes one character of those that look alike
            (`！` becomes `!`, `½` becomes `1⁄2`) and takes invisible ones away. "nfd" decomposes each character,
            Hangul into its jamo, accented letters into letter and accents (the order of several accents of one letter
            stays as it was written). Runs of spaces become one with any of them, and spaces at the ends are lost.
        character_coverage: the share of the corpus's characters that get an id of their own, 0.98 to 1; the rest is
            unknown.
        byte_fallback: whether an unknown character is read and written as its UTF-8 bytes, 256 ids more. For "bpe"
            and "unigram".
        symbols: pieces of their own wherever they stand in a text, such as a task's tag `<2de>`.

    Raises:
        UserError: the corpus has no text, or cannot give that many pieces, or needs more; byte fallback is asked of
            another kind; the coverage is out of range; a symbol is empty, stands there twice or has a space.
    """
    _check_options(vocabulary_size, kind, character_coverage, byte_fallback, symbols)
    # Read before training, so that an error in reading stays what it is.
    corpus = [well_formed(line) for line in lines]
    model = io.BytesIO()
    try:
        with _rule(normalization) as rule:
            SentencePieceTrainer.train(
                sentence_iterator=iter(corpus),
                model_writer=model,
                model_type=kind,
                vocab_size=vocabulary_size,
                hard_vocab_limit=kind not in ("char", "word"),
                add_dummy_prefix=kind != "char",
                character_coverage=character_coverage,
                byte_fallback=byte_fallback,
                user_defined_symbols=list(symbols),
                max_sentence_length=_LONGEST_LINE,
                pad_id=PADDING,
                bos_id=BOS,
                eos_id=EOS,
                unk_id=UNKNOWN,
                minloglevel=2,
                **rule,
            )
    except RuntimeError as error:
        raise _explained(str(error), vocabulary_size) from None
    return Tokenizer(model.getvalue())


def train_joint(
    sources: Iterable[str],
    targets: Iterable[str],
    vocabulary_size: int,
    kind: Kind = "bpe",
    source_normalization: Normalization = "nmt_nfkc",
    target_normalization: Normalization = "identity",
    character_coverage: float = 1.0,
    byte_fallback: bool = False,
    symbols: Sequence[str] = (),
) -> tuple[Tokenizer, Tokenizer]:
    """Trains one vocabulary for both sides: two models with the same pieces and ids, each with its own normalization.

    The pieces are learned from both sides as they are read later: each side's lines after its own normalization. So
    every character of a target has a piece, though a source's normalization may never let it through.

    Args:
        sources: the corpus of one side.
        targets: that of the other; they need not be as many.
        vocabulary_size: of both together.
        kind: as for `train`, and so are the arguments after the next two.
        source_normalization: of the sources.
        target_normalization: of the targets.
        character_coverage: of both together.
        byte_fallback: of both.
        symbols: of both.

    Returns:
        The sources' tokenizer and the targets'; the same one twice where both are normalized alike.

    Raises:
        UserError: as `train`.
    """

    def trained(corpus: Sequence[str], rule: Normalization) -> Tokenizer:
        return train(corpus, vocabulary_size, kind, rule, character_coverage, byte_fallback, symbols)

    if source_normalization == target_normalization:
        both = trained([*sources, *targets], source_normalization)
        return both, both
    _check_options(vocabulary_size, kind, character_coverage, byte_fallback, symbols)
    source, target = (_Normalizer(rule, symbols) for rule in (source_normalization, target_normalization))
    pieces = trained([*source(sources), *target(targets)], "identity")
    return source.inside(pieces), target.inside(pieces)


class _Normalizer:
    """A normalization by itself, which leaves symbols as they are."""

    def __init__(self, normalization: Normalization, symbols: Sequence[str]) -> None:
        self._model = None
        if normalization != "identity":
            self._model = train(["a"], UNKNOWN + 3 + len(symbols), "char", normalization, symbols=symbols)

    def __call__(self, lines: Iterable[str]) -> list[str]:
        return [*lines] if self._model is None else [*map(self._model.normalized, lines)]

    def inside(self, tokenizer: Tokenizer) -> Tokenizer:
        """The tokenizer, of the same pieces, that normalizes so."""
        if self._model is None:
            return tokenizer
        proto, rule = parsed(tokenizer.model), parsed(self._model.model).normalizer_spec
        proto.normalizer_spec.name = rule.name
        proto.normalizer_spec.precompiled_charsmap = rule.precompiled_charsmap
        return Tokenizer(proto.SerializeToString(deterministic=True))


def _check_options(
    vocabulary_size: int, kind: Kind, character_coverage: float, byte_fallback: bool, symbols: Sequence[str]
) -> None:
    if vocabulary_size <= UNKNOWN + 1:
        raise UserError(f"tokenizer: vocabulary_size {vocabulary_size}: must be more than the 4 special ids")
    if not 0.98 <= character_coverage <= 1:
        raise UserError(f"tokenizer: character_coverage {character_coverage}: must be from 0.98 to 1")
    if byte_fallback and kind not in ("bpe", "unigram"):
        raise UserError(f"tokenizer: byte_fallback: a {kind} model has none; take kind bpe or unigram")
    for number, symbol in enumerate(symbols):
        if not symbol or symbol.split() != [symbol]:
            raise UserError(f"tokenizer: symbols: {symbol!r}: expected characters without a space")
        if symbol in _SPECIAL:
            raise UserError(f"tokenizer: symbols: {symbol}: is a special id; give it another name")
        if symbol in symbols[:number]:
            raise UserError(f"tokenizer: symbols: {symbol} stands there twice; take one away")


class VocabularyTooLarge(UserError):
    """A corpus has fewer pieces than a vocabulary is to have.

    Attributes:
        size: that was asked for.
        largest: that the corpus can give.
    """

    def __init__(self, size: int, largest: int) -> None:
        super().__init__(f"tokenizer: vocabulary_size {size}: too large for this corpus; {largest} at most")
        self.size, self.largest = size, largest


@contextmanager
def _rule(normalization: Normalization) -> Iterator[dict[str, Any]]:
    """SentencePiece's options for a normalization. Rules that it does not know are given to it as a file."""
    if normalization != "nfd":
        yield {"normalization_rule_name": normalization}
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "nfd.tsv"
        path.write_text("".join(_decompositions()), encoding="ascii")
        yield {"normalization_rule_tsv": str(path)}


def _decompositions() -> Iterator[str]:
    """Lines `code TAB codes`, in hexadecimal, of all characters that NFD decomposes."""
    for character in map(chr, range(sys.maxunicode + 1)):
        decomposed = unicodedata.normalize("NFD", character)
        if decomposed != character:
            yield f"{ord(character):X}\t{' '.join(f'{ord(part):X}' for part in decomposed)}\n"


def _explained(message: str, vocabulary_size: int) -> UserError:
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return UserError("tokenizer: the corpus has no text; give at least one line that is not empty")
    if largest := re.search(r"set it to a value <= (\d+)", message):
        return VocabularyTooLarge(vocabulary_size, int(largest[1]))
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return UserError(
            f"tokenizer: vocabulary_size {vocabulary_size}: too small for the characters of this corpus; "
            f"{smallest[1]} at least, or lower character_coverage"
        )
    return UserError(f"tokenizer: SentencePiece cannot train: {' '.join(message.split())}")
