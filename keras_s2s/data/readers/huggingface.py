"""Records of data sets that `datasets` knows, on the Hugging Face hub or in a folder.

`datasets` says which files a split has, and fetches them. It would also interpret their text: `001` becomes 1, `NA`
nothing, an ISO date a datetime, and a quote at the beginning of a field takes in the rows that follow. None of its
options turns all of this off, so files of text are read here.
"""

import csv
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import Any

from keras_s2s.data.files import LINES, lines_of, pieces
from keras_s2s.data.readers.json_values import json_records
from keras_s2s.data.readers.tables import table_records
from keras_s2s.text.files import SUFFIXES, without_suffix

_Read = Callable[[Iterator[str], str], Iterator[Any]]
"""Makes records of a file's text, which comes in parts of whole lines; its second argument is the file's name."""


def huggingface_records(name: str, split: str, config: str | None = None) -> Iterable[Any]:
    """The records of a split.

    Args:
        name: of the data set, or a folder of files, of `Dataset.save_to_disk` or of `DatasetDict.save_to_disk`.
        split: one, a slice of one (`train[:10%]`), or a sum of them.
        config: which data set, of several that have one name.

    Raises:
        UserError: a file of text (named) cannot be read.
        ValueError: there is no such split, or the data set's card has an option that is not known here.
        Exception: whatever `datasets` raises.
    """
    import datasets

    folder = Path(name)
    if (folder / "dataset_dict.json").exists():
        saved = datasets.load_from_disk(name)
        return _chosen(split, list(saved), saved.__getitem__)
    if (folder / "state.json").exists():
        alone = datasets.load_from_disk(name)
        return _chosen(split, [str(alone.split or "train")], lambda _: alone)
    builder = datasets.load_dataset_builder(name, config)
    read = _reader(builder)
    if read is None:
        builder.download_and_prepare()
        return builder.as_dataset(split=split)
    files: Mapping[str, Sequence[str]] = builder.config.data_files
    return _chosen(split, list(map(str, files)), lambda one: _records(builder, files[one], read))


def _chosen(split: str, names: list[str], records: Callable[[str], Iterable[Any]]) -> Iterable[Any]:
    """The records of a split, a slice or a sum, out of those of each split by name.

    Where only reading tells how many there are, a slice reads them twice.
    """
    import datasets

    if split in names:
        return records(split)
    parts = datasets.ReadInstruction.from_spec("+".join(names) if split == "all" else split)
    chosen = parts.to_absolute({name: _count(records(name)) for name in names})
    return (record for part in chosen for record in islice(records(part.splitname), part.from_, part.to))


def _count(records: Iterable[Any]) -> int:
    return len(records) if isinstance(records, Sized) else sum(1 for _ in records)


def _reader(builder: Any) -> _Read | None:
    """Reads the files of a builder if they are text."""
    from datasets.packaged_modules.csv.csv import Csv
    from datasets.packaged_modules.json.json import Json
    from datasets.packaged_modules.text.text import Text

    options = builder.config
    if isinstance(builder, Csv):
        known = {"sep", "delimiter", "names", "column_names", "header"}
        # With TABs quotes are text anyhow.
        known |= {"quoting"} if options.sep == "\t" and options.quoting == csv.QUOTE_NONE else set()
        _check_options(options, known | {"keep_default_na", "na_filter", "float_precision", "date_format", "chunksize"})
        return _table_reader(options)
    if isinstance(builder, Json):
        _check_options(options, {"field", "chunksize", "on_mixed_types", "parse_agent_traces"})
        return lambda texts, where: json_records(texts, where, options.field)
    if isinstance(builder, Text):
        _check_options(options, {"chunksize"})
        return lambda texts, _: ({"text": line} for text in texts for line in lines_of(text))
    return None


def _table_reader(options: Any) -> _Read:
    if options.header not in ("infer", 0, None) or len(options.sep) != 1:
        raise ValueError("its card must have one character as `sep`, and 0 or nothing as `header`")
    has_header = options.header == 0 or (options.header == "infer" and options.names is None)

    def read(texts: Iterator[str], where: str) -> Iterator[Any]:
        # `datasets` has one separator for all files, that of the most frequent suffix.
        separator = "\t" if without_suffix(where).endswith(".tsv") else options.sep
        return table_records(texts, where, separator, options.names, has_header)

    return read


def _check_options(options: Any, known: set[str]) -> None:
    """Refuses what a data set's card asks of `datasets` and is not done here."""
    usual = type(options)()
    for option in dataclasses.fields(options):
        if option.name in known | {"name", "version", "data_dir", "data_files", "description", "features"}:
            continue
        if getattr(options, option.name) != getattr(usual, option.name):
            raise ValueError(f"its card has the option {option.name!r}, which is not known here")


def _records(builder: Any, files: Sequence[str], read: _Read) -> Iterator[Any]:
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            for path, where in _texts(builder, str(file), folder):
                yield from read((lines.text() for lines in pieces(path, LINES, where)), where)


def _texts(builder: Any, file: str, folder: str) -> Iterator[tuple[str, str]]:
    """The files of text that a data file is or, as an archive, holds; each with its name for errors."""
    import datasets

    access = {"token": builder.token, "storage_options": builder.storage_options}
    fetch = datasets.DownloadManager(download_config=datasets.DownloadConfig(**access), base_path=builder.base_path)
    # In its own folder `datasets` would find again what an archive held before it changed.
    unpack = datasets.DownloadManager(download_config=datasets.DownloadConfig(cache_dir=folder))
    local = str(fetch.download(file))
    if local.endswith(SUFFIXES):
        yield local, file
        return
    unpacked = str(unpack.extract(local))
    for path in sorted(unpack.iter_files(unpacked)):
        yield path, file if path == unpacked else f"{file}: {Path(path).relative_to(unpacked)}"
