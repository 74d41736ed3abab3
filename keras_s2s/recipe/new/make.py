"""From files of pairs to a folder with a recipe."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from keras_s2s import training
from keras_s2s.config import parse
from keras_s2s.data import Pairs, Task
from keras_s2s.errors import UserError
from keras_s2s.recipe.data_schema import SPLITS, Split
from keras_s2s.recipe.model import model_config
from keras_s2s.recipe.new import choose, columns
from keras_s2s.recipe.new.look import Seen, Side, look
from keras_s2s.recipe.new.split import Splits, split
from keras_s2s.recipe.new.write import write
from keras_s2s.recipe.prepare import BUNDLES
from keras_s2s.recipe.schema import Recipe, RecipeConfig
from keras_s2s.recipe.tokenizers import load_tokenizers, train_tokenizers
from keras_s2s.text import VocabularyTooLarge

_NAME = re.compile(r"\w[\w.-]*")
_FOR_TOKENIZERS, _FOR_STEPS = 100_000, 20_000  # pairs
_SHOWN = 40  # characters of a text
_MANY_COPIES = 0.05
# A measurement does not look at it, and a recipe has one.
_ANY_MODEL = {"encoder": {"kind": "lstm"}, "decoder": {"kind": "lstm"}}
_ANY_DECODING = {"strategy": "greedy", "beam_size": 1}

Say = Callable[[str], None]


@dataclass(frozen=True)
class New:
    """The recipe that was made, and why.

    Attributes:
        recipe: its file.
        content: what it says, without its data.
        seen: the training pairs.
        saw: what they are like, in words, by name.
        chose: parts of the recipe, by name: what they are, and why.
        warnings: what is worth a look.
    """

    recipe: Path
    content: Mapping[str, Any]
    seen: Seen
    saw: Mapping[str, str]
    chose: Mapping[str, tuple[str, str]]
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Fitted:
    """A model that fits into the time.

    Attributes:
        model: the recipe's part.
        training: the recipe's part.
        epochs: as many as fit.
        why: why the model has this size.
        seconds: of a step.
        asked: the minutes that were asked for.
    """

    model: Mapping[str, Any]
    training: Mapping[str, Any]
    epochs: float
    why: str
    seconds: float
    asked: float


def make(
    name: str,
    files: Mapping[Split, Path],
    *,
    minutes: float = 30.0,
    source: str | None = None,
    target: str | None = None,
    seed: int = 1,
    say: Say = lambda line: None,
) -> New:
    """Writes a folder with a recipe and its data.

    Args:
        name: of the folder, in the current one, and of the bundle to be.
        files: of pairs, see `columns.read`; "train" is one of them.
        minutes: that training may take on this machine.
        source: the column of the sources.
        target: that of the targets.
        seed: of the split.
        say: is told what is being done.

    Raises:
        UserError: the folder or the bundle is there already, a file cannot be read, there are too few pairs, or the
            time is too short for a single step, or has no end.
        OSError: the folder cannot be made.
    """
    if not math.isfinite(minutes):
        raise UserError(f"minutes: expected a finite number, got {minutes:g}")
    folder = _check_name(name)
    say("reading the pairs")
    read = {split: columns.read(path, source, target) for split, path in files.items()}
    cleaned = {split: _without_empty(one.pairs, files[split]) for split, one in read.items()}
    splits = split(cleaned["train"], cleaned.get("dev"), cleaned.get("test"), seed)
    say("looking at the pairs")
    seen = look(splits.train)
    content, chosen = _choose(name, seen, splits, minutes, say)
    whys = {
        "task": "A word for what the model does; the server shows it.",
        "data": _split_in_words(splits, files, seed),
        **{key: f"{why[:1].upper()}{why[1:]}." for key, why in chosen.comments.items()},
    }
    head = f"Made by `keras-s2s new` from {files['train']}. Change what you like; comments say why it was chosen."
    path = write(folder, content, whys, head, {"train": splits.train, "dev": splits.dev, "test": splits.test})
    empty = {split: len(one.pairs) - len(cleaned[split]) for split, one in read.items()}
    sizes = f"{len(splits.train):,} / {len(splits.dev):,} / {len(splits.test):,}"
    chose = {"split": (sizes, "train, dev, test"), **chosen.table}
    return New(path, content, seen, _saw(seen, read["train"].columns), chose, tuple(_warnings(seen, splits, empty)))


class _Reasons(NamedTuple):
    """Why a recipe is as it is.

    Attributes:
        comments: by key.
        table: what was chosen, in words, and why, by name.
    """

    comments: Mapping[str, str]
    table: Mapping[str, tuple[str, str]]


def _choose(name: str, seen: Seen, splits: Splits, minutes: float, say: Say) -> tuple[dict[str, Any], _Reasons]:
    """The recipe without its data, and the reasons."""
    tokenizer = choose.tokenizer(seen)
    metrics, why_metrics = choose.metrics(seen, tokenizer.content)
    with TemporaryDirectory() as temporary:
        say("learning tokenizers from some of the pairs")
        tokenizer, task = _task(tokenizer, metrics, splits, Path(temporary))
    content: dict[str, Any] = {"name": name, "task": "text", "tokenizer": tokenizer.content}
    ids = _id_counts(task)
    decoding = choose.decoding(tokenizer.content, ids)
    family, why_family = choose.family(seen, tokenizer.content)
    fitted = _fitted(content, family, seen, task, ids, minutes, say)
    why_model = f"{why_family}; {fitted.why}"
    content |= {
        "model": fitted.model,
        "training": fitted.training,
        "decoding": decoding.content,
        "metrics": list(metrics),
        "max_source_tokens": _room(ids.longest_source),
    }
    comments = {
        "tokenizer": tokenizer.why,
        "model": why_model,
        **_why_training(fitted, ids),
        "decoding": decoding.why,
        "metrics": f"the first one chooses the model: {why_metrics}",
        "max_source_tokens": f"the longest source has {ids.longest_source} tokens; longer ones are cut or refused",
    }
    table = {
        "tokenizer": (_tokenizer_in_words(tokenizer.content), tokenizer.why),
        "model": (_model_in_words(family, fitted.model), why_model),
        "training": (_minutes(fitted.training["minutes"]), _time_in_words(fitted)),
        "search": (decoding.content["strategy"], decoding.why),
        "metrics": (", ".join(metrics), why_metrics),
    }
    return content, _Reasons(comments, table)


def _check_name(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UserError(f"{name}: expected a name of letters, digits, '_', '-' and '.': the folder is made in this one")
    folder = Path(name)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(f"{folder}: is there already, and not empty; choose another name or move it away")
    if (BUNDLES / name).exists():
        raise UserError(f"{BUNDLES / name}: a run would replace this bundle; choose another name")
    if not folder.exists():
        # What cannot be made is told before steps are measured.
        folder.mkdir()
        folder.rmdir()
    return folder


def _without_empty(pairs: Pairs, path: Path) -> Pairs:
    kept = [
        row
        for row, sides in enumerate(zip(pairs.sources, pairs.targets, strict=True))
        if all(text.strip() for text in sides)
    ]
    if not kept:
        raise UserError(f"{path}: every pair has an empty side; are these the right columns?")
    return pairs if len(kept) == len(pairs) else pairs.take(kept)


def _config(content: Mapping[str, Any], metrics: tuple[str, ...], **parts: Any) -> RecipeConfig:
    """A recipe of what is known so far; what is not known yet has no effect on what is done with it."""
    data = {name: {"tsv": f"{name}.tsv"} for name in SPLITS}
    others = {"data": data, "model": _ANY_MODEL, "training": {"epochs": 1}, "decoding": _ANY_DECODING}
    return parse(RecipeConfig, {**others, **content, "metrics": metrics, **parts}, "recipe")


def _task(
    tokenizer: choose.Choice, metrics: tuple[str, ...], splits: Splits, folder: Path
) -> tuple[choose.Choice, Task]:
    """The tokenizers' part, with fewer sub-words where the pairs lack them; and a task.

    It has some of the training pairs, all of dev, and tokenizers as the recipe says.
    """
    train = choose.sample(splits.train, _FOR_TOKENIZERS)
    while True:
        try:
            train_tokenizers(
                _config({"name": "new", "task": "text", "tokenizer": tokenizer.content}, metrics), train, folder
            )
            break
        except VocabularyTooLarge as error:
            fewer = choose.fewer_pieces(tokenizer.content, error.size, error.largest)
            if fewer == tokenizer.content:
                raise
            tokenizer = tokenizer._replace(content=fewer)
    tokenizers = load_tokenizers(folder)
    task = Task("text", choose.sample(splits.train, _FOR_STEPS), splits.dev, None, *tokenizers, metrics)
    return tokenizer, task


def _id_counts(task: Task) -> choose.IdCounts:
    assert task.source_tokenizer is not None
    sources, targets = list(task.train.sources), list(task.train.targets)
    return choose.id_counts(task.source_tokenizer.encode(sources), task.target_tokenizer.encode(targets))


def _room(longest: int) -> int:
    """For sources that are half as long again."""
    return max((longest * 3 // 2 + 15) // 16 * 16, 32)


def _fitted(
    content: Mapping[str, Any],
    family: str,
    seen: Seen,
    task: Task,
    ids: choose.IdCounts,
    minutes: float,
    say: Say,
) -> _Fitted:
    """The largest model that has enough epochs in the time, or else the smallest."""
    wanted = choose.wanted_epochs(seen.pairs)
    size = largest = choose.largest(family, seen.pairs)
    while True:
        say(f"measuring steps of a model of width {size.width}")
        model = choose.model(size, content["tokenizer"], seen.pairs)
        how = choose.training(family, size, content["tokenizer"], seen.pairs, ids, minutes)
        config = _config(content, task.metrics, model=model, training=how)
        costs, batches = _measured(config, task, seen.pairs)
        epochs = training.epochs_in(config.training.replace(**_in_time(how, costs, minutes)), costs, batches)
        smaller = choose.next_size(family, size, epochs, wanted)
        if epochs >= wanted or smaller is None:
            break
        size = smaller
    why = "the largest model for so many pairs"
    if epochs < wanted:
        why = f"the smallest there is, and {_count(wanted)} epochs would be better: give it more minutes"
    elif size is not largest:
        why = f"a larger one would have less than {_count(wanted)} epochs in {_minutes(minutes)}"
    how = _in_time(how, costs, _enough(seen.pairs, costs, batches, minutes))
    last = config.training.replace(**how)
    return _Fitted(model, how, training.epochs_in(last, costs, batches), why, costs.step, minutes)


def _measured(config: RecipeConfig, task: Task, pairs: int) -> tuple[training.Costs, int]:
    """The cost of a recipe's training, and the number of batches of an epoch of so many pairs."""
    built = model_config(Recipe(path=Path("recipe"), config=config), config, task)
    made = training.batches_of(built, task, config.training)
    batches = max(round(len(made) * pairs / len(task.train)), 1)
    return training.measure(built, task, config.training, made), batches


def _in_time(how: Mapping[str, Any], costs: training.Costs, minutes: float) -> dict[str, Any]:
    """The training of so many minutes, with evaluations in between."""
    count = choose.evaluations(minutes, costs.interval)
    steps = round((60 * minutes - count * costs.interval) / costs.step)
    return {"minutes": minutes, "evaluate_every": choose.evaluate_every(steps, count), **_without(how, "minutes")}


def _without(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def _enough(pairs: int, costs: training.Costs, batches: int, minutes: float) -> float:
    """The minutes, or fewer where more epochs would not help."""
    useful = choose.useful_epochs(pairs) * batches * costs.step + 10 * costs.interval
    return min(minutes, float(f"{useful / 60:.2g}"))


def _why_training(fitted: _Fitted, ids: choose.IdCounts) -> dict[str, str]:
    return {
        "training": "each run measures its steps once more, on the machine it runs on, before it begins",
        "training.minutes": f"{_time_in_words(fitted)}. `epochs: N` in its place is the same on every machine",
        "training.evaluate_every": "steps after which the dev data are decoded and a checkpoint is written",
        "training.tokens": "tokens of a batch; with more, steps are steadier, and there are fewer of them",
        "training.maximum_length": f"longer pairs are left out. The longest has {ids.longest} tokens, all but one in a "
        f"thousand at most {ids.most}",
    }


def _time_in_words(fitted: _Fitted) -> str:
    epochs = _count(fitted.epochs)
    told = f"about {epochs} epoch{'' if epochs == '1' else 's'}; a step takes {1000 * fitted.seconds:,.0f} ms here"
    if fitted.training["minutes"] < fitted.asked:
        return f"{told}; {_minutes(fitted.asked)} would be more epochs than help"
    return told


def _count(epochs: float) -> str:
    return f"{epochs:,.0f}" if epochs >= 10 else f"{epochs:.2g}"


def _minutes(minutes: float) -> str:
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def _split_in_words(splits: Splits, files: Mapping[Split, Path], seed: int) -> str:
    sizes = f"{len(splits.train):,} pairs to train on, {len(splits.dev):,} to choose by, {len(splits.test):,} to report"
    drawn = [name for name in SPLITS[1:] if name not in files]
    if not drawn:
        return f"{sizes} on."
    count = splits.left_out
    left = f" {count:,} more {_pairs(count)} with their sources {_are(count)} left out." if count else ""
    they = f"{drawn[0]} was split off by seed {seed}; it shares no source with train."
    if len(drawn) > 1:
        they = f"{' and '.join(drawn)} were split off by seed {seed}; they share no source with train."
    return f"{sizes} on. {they}{left}"


def _tokenizer_in_words(content: Mapping[str, Any]) -> str:
    names = {"char": "characters", "word": "words", "bpe": "sub-words (BPE)", "unigram": "sub-words (unigram)"}

    def told(one: Mapping[str, Any]) -> str:
        return f"{names[one['kind']]}, up to {one['vocabulary_size']:,}"

    if "target" in content:
        return f"{told(content)}; target: {told(content['target'])}"
    return told(content) + (", joint" if content.get("joint") else "")


def _model_in_words(family: str, model: Mapping[str, Any]) -> str:
    name = {"lstm": "LSTM", "transformer": "Transformer"}[family]
    layers = f"{model['encoder']['layers']}+{model['decoder']['layers']} layers"
    return f"{name}, width {model['width']}, {layers}"


def _saw(seen: Seen, columns: str) -> dict[str, str]:
    order = "cannot be said"
    if seen.monotone is not None:
        order = f"targets keep their sources' order in {100 * seen.monotone:.0f} % of the steps"
    return {
        "pairs": f"{seen.pairs:,} ({columns})",
        "sources": _side_in_words(seen.source),
        "targets": _side_in_words(seen.target),
        "order": order,
    }


def _side_in_words(side: Side) -> str:
    scripts = [f"{name} {100 * share:.0f} %" for name, share in side.scripts.items() if share >= 0.01][:3]
    characters = side.characters
    return (
        f"{', '.join(scripts) or 'no letters'}; {characters.median} characters, 99 % up to {characters.most}, "
        f"longest {characters.longest}; {side.vocabulary:,} different words, {side.alphabet:,} characters"
    )


def _warnings(seen: Seen, splits: Splits, empty: Mapping[Split, int]) -> list[str]:
    found = [
        f"{name}: {count:,} {_pairs(count)} with an empty side {_are(count)} left out"
        for name, count in empty.items()
        if count
    ]
    found += [
        f"{name}: {count:,} of its sources {_are(count)} in train, too, so its results will be too good"
        for name, count in splits.known.items()
        if count
    ]
    if splits.left_out:
        left = splits.left_out
        found.append(f"{left:,} {_pairs(left)} with a source that dev or test has already {_are(left)} left out")
    if seen.repeated:
        found.append(f"train: {seen.repeated:,} {_pairs(seen.repeated)} {_are(seen.repeated)} in it more than once")
    if seen.contradiction is not None:
        source, one, other = map(_short, seen.contradiction)
        found.append(
            f"train: sources with several targets: {seen.contradictory:,}; a model gives only one: "
            f"{source!r} is {one!r} and {other!r}"
        )
    if seen.copies > _MANY_COPIES * seen.pairs:
        found.append(f"train: targets that are their source, unchanged: {seen.copies:,}")
    return found


def _pairs(count: int) -> str:
    return "pair" if count == 1 else "pairs"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
