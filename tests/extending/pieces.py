"""Four pieces of one's own, as docs/extending.md says to write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal
from xml.parsers import expat

import numpy as np
from pydantic import Field

import keras_s2s as s2s  # before Keras: it chooses how TensorFlow computes

# isort: split
import keras
from keras import ops

UNKNOWN = 3
CODES = {"bpt", "ept", "it", "ph", "ut"}


class Memory:
    """What was read of a translation memory so far."""

    def __init__(self, path: Path, languages: Sequence[str]) -> None:
        """Nothing was read yet."""
        self.path, self.languages = path, languages
        self.rows: list[list[str]] = []
        self.unit: dict[str, str] = {}
        self.language, self.line, self.codes, self.text = "", 0, 0, None
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "tu":
            self.unit, self.line = {}, self.parser.CurrentLineNumber
        elif name == "tuv":
            self.language = attributes.get("xml:lang", attributes.get("lang", "")).lower()
        elif name == "seg":
            self.text = ""
        self.codes += name in CODES

    def end(self, name: str) -> None:
        """An element ends: a text of a unit, or the unit."""
        self.codes -= name in CODES
        if name == "seg":
            self.unit.setdefault(self.language, " ".join(self.text.split()))
            self.text = None
        elif name == "tu":
            self.rows.append([self.find(language) for language in self.languages])

    def characters(self, data: str) -> None:
        """Text, of which formatting codes are left out."""
        if self.text is not None and not self.codes:
            self.text += data

    def find(self, language: str) -> str:
        """The unit's text in a language, which may be that of a country: `en-GB` for `en`."""
        for name, text in self.unit.items():
            if text and f"{name}-".startswith(f"{language.lower()}-"):
                return text
        raise s2s.UserError(f"{self.path}: line {self.line}: the unit has no text in {language!r}")


def read_tmx(path: Path, languages: Sequence[str]) -> s2s.data.Pairs:
    """Reads the texts of all units in the language of the source and in that of the target."""
    memory = Memory(path, languages)
    try:
        memory.parser.Parse("\n".join(s2s.data.read_lines(path)), True)
    except expat.ExpatError as error:
        raise s2s.UserError(f"{path}: line {error.lineno}: broken XML: {expat.ErrorString(error.code)}") from error
    if not memory.rows:
        raise s2s.UserError(f"{path}: line {memory.parser.CurrentLineNumber}: the file ends without a unit")
    return s2s.data.Pairs(*map(list, zip(*memory.rows, strict=True)))


@s2s.data.READERS.register
class MemoryReader(s2s.data.Reader):
    """A translation memory.

    Args:
        memory: the file, in UTF-8.
        languages: those of source and target, as in `[de, en]`.
    """

    key: ClassVar[str] = "memory"
    memory: str
    languages: tuple[str, str]

    def read(self, around: s2s.data.Surroundings) -> s2s.data.Pairs:
        """Reads the file."""
        return read_tmx(around.place(self.memory), self.languages)


@s2s.data.AUGMENTATIONS.register
class DropWords(s2s.data.IdAugmentation):
    """Hides words of the source from the model, where each id is a word.

    Args:
        kind: its name.
        rate: the share of words that are hidden.
        leave_out: whether a hidden word is left out, instead of replaced by the unknown token.
    """

    kind: Literal["drop_words"] = "drop_words"
    rate: float = Field(default=0.1, gt=0, le=1)
    leave_out: bool = False

    def pair(self, source: Any, target: Sequence[int], random: np.random.Generator) -> tuple[Any, Sequence[int]]:
        """Hides words of the source; the target stays."""
        hidden = random.random(len(source)) < self.rate
        if self.leave_out:
            return [word for word, is_hidden in zip(source, hidden, strict=True) if not is_hidden], target
        return [UNKNOWN if is_hidden else word for word, is_hidden in zip(source, hidden, strict=True)], target


@s2s.layers.register_cell("mgu")
class MGU(keras.layers.Layer):
    """The minimal gated unit (Zhou et al. 2016).

    f = sigmoid(W x_t + U h + b); c = tanh(V x_t + R (f h) + d); h_t = (1 - f) h + f c, where h is h_(t-1).
    """

    state_names = ("hidden",)

    def __init__(self, units, backwards=False, **options):
        """Makes the four products."""
        super().__init__(**options)
        self.supports_masking = True
        self.units, self.backwards = units, backwards
        self.forget_x = s2s.layers.Linear(units, name="forget_x")
        self.forget_h = s2s.layers.Linear(units, use_bias=False, name="forget_h")
        self.candidate_x = s2s.layers.Linear(units, name="candidate_x")
        self.candidate_h = s2s.layers.Linear(units, use_bias=False, name="candidate_h")

    def call(self, x, state=None, mask=None):
        """Reads one place after the other."""
        first = ops.zeros((ops.shape(x)[0], self.units), x.dtype) if state is None else state[0]
        real = ops.ones_like(x[:, :, 0], "bool") if mask is None else mask
        forget_x, candidate_x = self.forget_x(x), self.candidate_x(x)
        places = ops.arange(ops.shape(x)[1])
        last = ops.shape(x)[1] - 1

        def step(count, hidden, y):
            place = last - count if self.backwards else count
            forget = ops.sigmoid(ops.take(forget_x, place, axis=1) + self.forget_h(hidden))
            candidate = ops.tanh(ops.take(candidate_x, place, axis=1) + self.candidate_h(forget * hidden))
            is_real = ops.take(real, place, axis=1)[:, None]
            hidden = ops.where(is_real, (1 - forget) * hidden + forget * candidate, hidden)
            is_here = ops.equal(places, place)[None, :, None]
            return count + 1, hidden, ops.where(is_here, ops.where(is_real, hidden, 0.0)[:, None], y)

        _, hidden, y = ops.while_loop(
            lambda count, hidden, y: count <= last, step, (0, first, ops.zeros_like(forget_x))
        )
        return y, (hidden,)


@dataclass(frozen=True)
class Logarithmic:
    """A length penalty that divides by 1 + alpha log n; with an alpha of 0 the usual one."""

    usual: s2s.decoding.LengthNormalization
    alpha: Any

    def divisor(self, length):
        """The divisor for so many tokens, the end counted."""
        logarithm = ops.log(ops.cast(length, "float32"))
        return ops.where(self.alpha > 0, 1 + self.alpha * logarithm, self.usual.divisor(length))


s2s.decoding.register_feature(
    "logarithmic",
    help="A length penalty that grows with the logarithm of the length.",
    options={
        "log_length": s2s.decoding.OwnOption(
            type="float",
            default=0.0,
            minimum=0,
            maximum=100,
            example=0.7,
            help="What the logarithm of the length counts; 0 leaves the usual penalty.",
        )
    },
    length_penalty=lambda usual, given: Logarithmic(usual, given["log_length"]),
)
