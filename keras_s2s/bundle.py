"""An exported model on disk: its manifest, its hashes, and writing it whole or not at all."""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from keras_s2s.config import Config, parse
from keras_s2s.errors import UserError
from keras_s2s.layout import Layout
from keras_s2s.option import OwnOption
from keras_s2s.search_options import STRATEGIES, StrategySpec, no_strategy
from keras_s2s.search_options import Decoding as Decoding  # a public name of this module, too

SCHEMA_REVISION = 1
MANIFEST = "bundle.json"


def _stays_inside(path: str) -> str:
    canonical = PurePosixPath(path)
    if canonical.is_absolute() or ".." in canonical.parts or not canonical.parts or re.search(r"[\\:\0]", path):
        raise ValueError("expected a path inside the bundle")
    if str(canonical) != path:
        raise ValueError(f"expected the path in its plain form '{canonical}'")
    return path


def _is_date(date: str) -> str:
    datetime.fromisoformat(date)
    return date


RelativePath = Annotated[str, AfterValidator(_stays_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class File(Config):
    """A file of the bundle: its path, relative to the bundle and with '/', and its SHA-256."""

    path: RelativePath
    sha256: Sha256


class GraphFile(File):
    """An ONNX graph.

    Attributes:
        only_in_onnxruntime: names of its operators that ONNX does not define; None if that was not recorded.
        options: those of its strategy and its features that are not of this package, by the names of its inputs.
    """

    only_in_onnxruntime: tuple[str, ...] | None = None
    options: dict[str, OwnOption] = Field(default_factory=dict)


class Vector(Config):
    """A text and its ids without EOS, for whoever reads the SentencePiece model in another language."""

    text: str
    ids: tuple[int, ...]


class TokenizerFile(File):
    """A SentencePiece model."""

    vocabulary_size: int = Field(ge=1)
    test_vectors: tuple[Vector, ...]


class Tokenizers(Config):
    """The tokenizers of both sides; a joint one is named twice."""

    source: TokenizerFile
    target: TokenizerFile


_STEPS = ".steps"


def graph_name(strategy: str, features: Iterable[str] = ()) -> str:
    """The name of the graph that decodes by a strategy and takes the inputs of some features."""
    return "-".join([strategy, *sorted(features)])


def strategy_and_features(name: str) -> tuple[str, frozenset[str]]:
    """The strategy and the features in a graph's name; `beam-constrained.start` has the strategy `beam.start`."""
    whole, *step = name.split(".")
    strategy, *features = whole.split("-")
    return ".".join([strategy, *step]), frozenset(features)


def steps_name(graph: str) -> str:
    """The name that asks for the search of a graph one step at a time."""
    return f"{graph}{_STEPS}"


def step_graphs(graph: str) -> dict[str, str]:
    """The names of the graphs that make the search of a graph a step at a time: start, advance and finish."""
    return {part: f"{graph}.{part}" for part in ("start", "advance", "finish")}


def without_steps(graphs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Of what is asked for the graphs, and the names of those whose steps are wanted."""
    graphs = list(graphs)
    asked = [name.removesuffix(_STEPS) for name in graphs if name.endswith(_STEPS)]
    return [name for name in graphs if not name.endswith(_STEPS)], asked


class Part(Config):
    """A part of the model: its name, what it is, the shape that it gives, and how many parameters it has."""

    name: str
    kind: str
    shape: str
    parameters: int = Field(ge=0)


class Limits(Config):
    """The limits of a bundle's graphs; the EOS of a source counts as one of its tokens."""

    max_source_tokens: Count


class Precision(Config):
    """How graphs that `keras-s2s quantize` added were made of those in float32.

    Attributes:
        parts: of the model, and the number format of the weights of each.
        kept: layers that stayed in float32, as their loss was too large.
        depends_on_batch: whether a text's result depends on the others in its batch.
        metric: what was measured, on how many `sentences`.
        value: of these graphs.
        interval: half the width of the 95 % interval around it.
        fp32: the value of the graphs in float32.
        sentences: of the dev data.
    """

    parts: dict[str, str]
    kept: tuple[str, ...] = ()
    depends_on_batch: bool = False
    metric: str
    value: float
    interval: float
    fp32: float
    sentences: Count


class Manifest(Config):
    """The content of bundle.json.

    Attributes:
        graphs: precision -> graph's name -> ONNX file; see `graph_name`.
        precisions: of those that were added after the export, how they were made and what they lose.
        steps: graph's name -> layouts of what goes from step to step, by tensor, where there are also the graphs
            "NAME.start", "NAME.advance" and "NAME.finish"; see `decoding.steps`.
        files: path -> SHA-256 of every other file that is loaded (weights, the SavedModel's files).
        parts: of the model, as `models.describe` lists them.
        shortlist: an .npz file with the target ids that each source id may need: `candidates` (V, k) int32, padded
            with 0, and `always` (F,) int32.
        strategies: of the graphs, those that are not of this package.
        examples: sources of the test data, for a page to show; they are the data's own words.
        diverse_groups: of the "diverse" graphs.
        new_word_prefixes: whether 1 in the prefixes of "constrained" graphs means a piece that begins a word.
        minimum_onnxruntime: the lowest release of onnxruntime that runs the graphs.
        created: date, or date and time, in ISO 8601.
    """

    schema_revision: Literal[1] = 1
    name: str = Field(min_length=1)
    task: str = Field(pattern=r"^\w+$")
    tokenizers: Tokenizers
    graphs: dict[str, dict[str, GraphFile]]
    precisions: dict[str, Precision] = Field(default_factory=dict)
    steps: dict[str, dict[str, Layout]] = Field(default_factory=dict)
    files: dict[RelativePath, Sha256]
    decoding: Decoding
    limits: Limits
    model: dict[str, Any]
    parts: tuple[Part, ...] = ()
    shortlist: File | None = None
    strategies: dict[str, StrategySpec] = Field(default_factory=dict)
    examples: tuple[str, ...] = ()
    diverse_groups: int = Field(default=4, ge=1)
    new_word_prefixes: bool = False
    metrics: dict[str, Any]
    verification: dict[str, Any]
    versions: dict[str, str]
    minimum_onnxruntime: str = Field(pattern=r"^\d+(\.\d+)*$")
    created: Annotated[str, AfterValidator(_is_date)]

    @property
    def hashes(self) -> dict[str, str]:
        """Path -> SHA-256 of every file that may be loaded."""
        return {**self.files, **{file.path: file.sha256 for file in self._named()}}

    @property
    def all_strategies(self) -> dict[str, StrategySpec]:
        """Those of this package and of the bundle."""
        return {**STRATEGIES, **self.strategies}

    @property
    def own_options(self) -> dict[str, OwnOption]:
        """The options that its graphs bring along, by name."""
        files = [file for graphs in self.graphs.values() for file in graphs.values()]
        return {name: option for file in files for name, option in file.options.items()}

    @property
    def default_graph(self) -> str:
        """The name of the smallest graph that can do what its defaults ask."""
        return graph_name(self.decoding.strategy, self.decoding.features_with(self.own_options))

    def weights(self, precision: str) -> list[str]:
        """The files that lie beside the graphs of a precision, and are loaded with them."""
        folders = {PurePosixPath(file.path).parent for file in self.graphs[precision].values()}
        return [path for path in self.files if PurePosixPath(path).parent in folders]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        hashes = self.hashes
        for path, digest in [*self.files.items(), *((file.path, file.sha256) for file in self._named())]:
            if hashes[path] != digest:
                raise ValueError(f"'{path}' is named with two different SHA-256")
        if (name := self.decoding.strategy) not in self.all_strategies:
            raise ValueError(f"decoding: strategy: {no_strategy(name, self.all_strategies)}")
        if unknown := self.decoding.own.keys() - self.own_options.keys():
            raise ValueError(f"decoding: own: no graph has the option '{min(unknown)}'")
        return self

    def _named(self) -> list[File]:
        graphs = [file for strategies in self.graphs.values() for file in strategies.values()]
        shortlists = [] if self.shortlist is None else [self.shortlist]
        return [self.tokenizers.source, self.tokenizers.target, *shortlists, *graphs]


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk: its folder and its manifest."""

    path: Path
    manifest: Manifest

    def graphs(self, precision: str) -> dict[str, GraphFile]:
        """The graphs of a precision, by name.

        Raises:
            UserError: there are none.
        """
        graphs = self.manifest.graphs
        if precision not in graphs:
            raise UserError(f"{self.path}: no graphs of precision '{precision}'; it has {', '.join(graphs)}")
        return graphs[precision]

    def has_steps(self, graph: str, precision: str) -> bool:
        """Whether a precision has the graphs that make the search of a graph a step at a time."""
        return graph in self.manifest.steps and self.graphs(precision).keys() >= set(step_graphs(graph).values())

    def file(self, path: str) -> Path:
        """Where a file of the manifest lies. It may be a link, wherever that leads: its SHA-256 says what it must hold.

        Raises:
            UserError: bundle.json does not name it, or it is missing.
        """
        file = self.path / path
        if path not in self.manifest.hashes:
            raise UserError(f"{file}: not named in {MANIFEST}, so it is not loaded; export the bundle again")
        if not file.is_file():
            raise UserError(f"{file}: missing from the bundle; copy the whole folder or export it again")
        return file

    def content(self, path: str) -> bytes:
        """The bytes of a file of the manifest, after their SHA-256 was compared.

        Raises:
            UserError: as `file`, or it is not the file that was exported.
        """
        content = self.file(path).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest.hashes[path]:
            raise _another_file(self.path / path)
        return content

    def copy_weights(self, precision: str, folder: Path) -> None:
        """Copies what lies beside the graphs of a precision into a folder, by the names that the graphs know.

        Raises:
            UserError: as `file`.
        """
        for path in self.manifest.weights(precision):
            shutil.copyfile(self.file(path), folder / PurePosixPath(path).name)


def read(path: str | os.PathLike[str]) -> Bundle:
    """Reads the manifest of the bundle at `path`; `verify` checks the files.

    Raises:
        UserError: there is no bundle, its schema revision is newer, or a key of its manifest is wrong.
    """
    folder = Path(path)
    manifest = folder / MANIFEST
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; expected a bundle, a folder with a {MANIFEST}")
    if not manifest.is_file():
        raise UserError(f"{folder}: not a bundle; expected a folder with a {MANIFEST}")
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{manifest}: expected JSON in UTF-8: {error}; export the bundle again") from None
    revision = data.get("schema_revision") if isinstance(data, dict) else None
    if isinstance(revision, int) and revision > SCHEMA_REVISION:
        raise UserError(
            f"{manifest}: schema revision {revision} is newer than this keras_s2s reads ({SCHEMA_REVISION}); "
            "upgrade keras_s2s"
        )
    return Bundle(folder, parse(Manifest, data, str(manifest)))


def verify(bundle: Bundle, paths: Iterable[str]) -> None:
    """Checks the SHA-256 of these files of the bundle.

    Raises:
        UserError: names the first file that is missing, unnamed, or not the one exported.
    """
    for path in dict.fromkeys(paths):
        file = bundle.file(path)
        if sha256(file) != bundle.manifest.hashes[path]:
            raise _another_file(file)


def _another_file(file: Path) -> UserError:
    return UserError(f"{file}: its SHA-256 is not the one in {MANIFEST}; export the bundle again")


def write(folder: str | os.PathLike[str], manifest: Manifest) -> None:
    """Writes `manifest` as the bundle.json of `folder`."""
    content = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False)
    Path(folder, MANIFEST).write_text(content + "\n", encoding="utf-8")


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def graph_files(
    folder: Path,
    precision: str,
    only_in_onnxruntime: Mapping[str, Iterable[str]],
    options: Mapping[str, Mapping[str, OwnOption]] | None = None,
) -> dict[str, GraphFile]:
    """The graphs that lie in `onnx/PRECISION` of a bundle in the making, for its manifest.

    Args:
        folder: the bundle's.
        precision: of the graphs.
        only_in_onnxruntime: of each graph, by name, the operators that ONNX does not define.
        options: by graph, those that are not of this package; a graph that is missing has none.
    """
    files = {}
    for name, operators in only_in_onnxruntime.items():
        path = f"onnx/{precision}/{name}.onnx"
        own = dict((options or {}).get(name, {}))
        digest = sha256(folder / path)
        files[name] = GraphFile(path=path, sha256=digest, only_in_onnxruntime=tuple(operators), options=own)
    return files


@contextlib.contextmanager
def building(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives an empty folder beside `path`, which becomes the bundle at `path` when the block succeeds.

    At the end every file that the manifest names is verified, then the folder takes the place of the bundle
    that may be there. When the block raises or is interrupted, the folder is removed and the old bundle
    stays. What a killed process left behind is cleared at the next build.

    Raises:
        UserError: something that is not a bundle is at `path`, or what was built is not a whole bundle.
    """
    target = Path(path).resolve()
    if target.exists() and not _is_replaceable(target):
        raise UserError(f"{path}: exists and is not a bundle; choose another folder or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_left_overs(target)
    temporary = _beside(target, "building")
    try:
        temporary.mkdir()
        yield temporary
        bundle = read(temporary)
        verify(bundle, bundle.manifest.hashes)
        _replace(target, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_replaceable(target: Path) -> bool:
    return target.is_dir() and ((target / MANIFEST).is_file() or not any(target.iterdir()))


def _beside(target: Path, what: Literal["building", "replaced"]) -> Path:
    return target.with_name(f".{target.name}.{what}-{os.getpid()}")


def _replace(target: Path, new: Path) -> None:
    old = _beside(target, "replaced")
    try:
        if target.exists():
            target.rename(old)
        new.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _clear_left_overs(target: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(building|replaced)-(\d+)")
    for entry in list(target.parent.iterdir()):
        match = pattern.fullmatch(entry.name)
        if not match or _is_another_process(int(match[2])):
            continue
        # Killed between the two renames: the old bundle is the only one.
        if match[1] == "replaced" and not target.exists():
            entry.rename(target)
        else:
            shutil.rmtree(entry)


def _is_another_process(pid: int) -> bool:
    """Whether another process with this id lives. Containers give the same few ids again and again."""
    if pid == os.getpid():
        return False
    if os.name == "nt":
        return True  # There os.kill with signal 0 is no question but a Ctrl-C.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
