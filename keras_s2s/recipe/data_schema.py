"""The schema of a recipe's data and tokenizers."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from keras_s2s.audio import LogMel
from keras_s2s.config import Config
from keras_s2s.data import READERS, Reader
from keras_s2s.data.preprocessing import NamedPiece
from keras_s2s.data.readers import reader_of
from keras_s2s.recipe import score_piece  # noqa: F401 - it registers itself.
from keras_s2s.text.training import Kind, Normalization

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class Files(Config):
    """A corpus: the keys of the reader that it names, and those of every corpus beside them.

    The readers are those of `data.READERS`. Unless a reader says otherwise, names of files may be patterns, and files
    of text may be compressed by gzip, xz or zstd.

    Args:
        reader: made of the keys beside it; a recipe has no key of this name.
        name: of the corpus among several.
        weight: how much of an epoch is of this corpus among several, see `data.Mixture`.
        tag: a symbol before each source, as `<2de>`; the tokenizer knows it.
    """

    reader: SerializeAsAny[Reader]
    name: str | None = None
    weight: NonNegativeFloat | None = None
    tag: str | None = Field(default=None, pattern=r"^\S+$")

    @classmethod
    def known_keys(cls) -> dict[str, Any]:
        """Those of every corpus and those of all readers."""
        keys = {key: kind for key, kind in super().known_keys().items() if key != "reader"}
        return keys | {key: kind for reader in READERS.values() for key, kind in reader.known_keys().items()}

    @model_validator(mode="before")
    @classmethod
    def _by_reader(cls, corpus: Any) -> Any:
        if not isinstance(corpus, Mapping) or isinstance(corpus.get("reader"), Reader):
            return corpus
        own = {key: value for key, value in corpus.items() if key in cls.model_fields and key != "reader"}
        return {**own, "reader": reader_of({key: value for key, value in corpus.items() if key not in own})}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = handler(self)
        return {**content.pop("reader"), **content}

    @model_validator(mode="after")
    def _tags_texts(self) -> Self:
        if self.tag is not None and self.reader.is_speech:
            raise ValueError(f"'tag' goes before a text, and {self.reader.key!r} has none")
        return self


def _several(value: Any) -> str:
    return "several" if isinstance(value, list | tuple) else "one"


Corpora = Annotated[
    Annotated[Files, Tag("one")] | Annotated[tuple[Files, ...], Tag("several"), Field(min_length=1)],
    Discriminator(_several),
]


class DataConfig(Config):
    """Where the data are.

    A path may name environment variables, `${NAME}/file`. A relative one starts at the recipe's folder, or, where a
    script generates the data, at the folder that the script writes.

    Args:
        train: pairs to train on; a language model reads their targets. Several corpora are a mixture: by their `weight`
            if they have one, else by `temperature`.
        dev: pairs to choose and verify on.
        test: pairs to report on; a language model needs none.
        temperature: of the mixture, see `data.Mixture`; without it and without weights each pair is seen once an epoch.
        preprocessing: of each training corpus, one piece after the other, each with its `kind`, one of `data.PIECES`.
        log_mel: the features of recordings.
        generate: a Python script beside the recipe, run as `SCRIPT FOLDER --seed SEED`, that writes the files.
        seed: handed to the script.
    """

    train: Corpora
    dev: Corpora
    test: Corpora | None = None
    temperature: PositiveFloat | None = None
    preprocessing: tuple[NamedPiece, ...] = ()
    log_mel: LogMel = LogMel()
    generate: str | None = None
    seed: int = 1

    def split(self, name: Split) -> tuple[Files, ...]:
        """The corpora of a split."""
        corpora = getattr(self, name)
        if corpora is None:
            return ()
        return corpora if isinstance(corpora, tuple) else (corpora,)

    @property
    def tags(self) -> list[str]:
        """All tags, in the order in which they are named first."""
        files = [file for name in SPLITS for file in self.split(name)]
        return list(dict.fromkeys(file.tag for file in files if file.tag is not None))

    @property
    def is_speech(self) -> bool:
        """Whether the sources are features."""
        return self.split("train")[0].reader.is_speech

    @model_validator(mode="after")
    def _mixes(self) -> Self:
        train = self.split("train")
        weighted = [file for file in train if file.weight is not None]
        if weighted and len(weighted) != len(train):
            raise ValueError("train: some corpora have a 'weight'; give all of them one, or none")
        if weighted and self.temperature is not None:
            raise ValueError("corpora with a 'weight', and a 'temperature'; give one of the two")
        names = [file.name for file in train if file.name is not None]
        if len(set(names)) != len(names):
            raise ValueError("train: two corpora have the same name; give each its own")
        for name in SPLITS[1:]:
            if any(file.weight is not None for file in self.split(name)):
                raise ValueError(f"{name}: 'weight' is for training; leave it out")
        kinds = {file.reader.is_speech for name in SPLITS for file in self.split(name)}
        if len(kinds) > 1:
            raise ValueError("some corpora are speech and some text; a model reads one kind of source")
        if self.preprocessing and self.is_speech:
            raise ValueError("preprocessing is for text; leave it out with recordings or features")
        return self


class PieceConfig(Config):
    """How a tokenizer is trained.

    Args:
        kind: what a piece is.
        vocabulary_size: ids, at most.
        normalization: the Unicode normalization inside. By default sources have nmt_nfkc, and targets identity, so that
            they can be written as they are; what is said here holds for both sides, but for a `target` of its own.
        byte_fallback: whether unknown characters are written as their bytes.
        symbols: pieces of their own wherever they stand; tags of `data` are added.
    """

    kind: Kind = "bpe"
    vocabulary_size: PositiveInt = 8000
    normalization: Normalization | None = None
    byte_fallback: bool = False
    symbols: tuple[str, ...] = ()


class TokenizerConfig(PieceConfig):
    """How tokenizers are trained: on the training data, one for both sides or one each.

    Args:
        joint: one vocabulary for source and target: the same pieces and ids, each side with its own normalization.
        target: how the target's is trained, where it is another kind than the source's.
        same_as: another recipe, a file beside this one, whose tokenizers are taken instead; or the folder of a
            checkpoint.
    """

    joint: bool = False
    target: PieceConfig | None = None
    same_as: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.same_as is not None and self.model_fields_set != {"same_as"}:
            raise ValueError("same_as takes the tokenizers of another as they are; leave the other keys out")
        if self.joint and self.target is not None:
            raise ValueError("joint is one vocabulary for both sides; leave out either 'joint' or 'target'")
        return self
