"""Pairs from data set libraries: `hf://` through `datasets`, `tfds://` through `tensorflow_datasets`."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from keras_s2s.data.pairs import Pair, Pairs
from keras_s2s.data.readers import READERS, Surroundings
from keras_s2s.data.readers.huggingface import huggingface_records
from keras_s2s.data.readers.records import Fields, RecordsReader, pairs_of
from keras_s2s.errors import UserError

_OPTIONS = {"hf": {"config", "split"}, "tfds": {"split", "data_dir"}}


@READERS.register
class DatasetReader(RecordsReader):
    """A split of a data set of a library, see `read_dataset`.

    Args:
        dataset: its address, `hf://` or `tfds://`.
        fields: of each record.
    """

    key: ClassVar[str] = "dataset"
    dataset: str

    def read(self, around: Surroundings) -> Iterator[Pair]:
        """Reads the split."""
        return dataset_pairs(self.dataset, self.names)


def read_dataset(address: str, fields: Fields = Fields()) -> Pairs:  # noqa: B008
    """Reads a split of a data set. What is not on this machine is downloaded by its library.

    Texts are taken as they stand. TSV files of `hf://` are read as `read_tsv` reads them, with the fields' names in the
    first line; CSV files with quotes as in RFC 4180; JSON files as one list or as a value a line; each line of a TXT
    file is the field `text`. Fields of Parquet and Arrow files, and of `tfds://`, have the types that they were written
    with; one that is no text is refused.

    Args:
        address: `hf://NAME?split=SPLIT` or `hf://NAME?config=CONFIG&split=SPLIT`, NAME on the Hugging Face hub, with
            its owner if it has one, or a local folder of data files or of `save_to_disk`; or
            `tfds://NAME?split=SPLIT`, NAME with its config and version if need be, `&data_dir=FOLDER` where it lies.
            SPLIT may be a slice, `train[:10%]`, or a sum, `train+test`.
        fields: of each record.

    Raises:
        UserError: an address of another form; the library is not installed, or says that there is no such data;
            a record lacks a field.
    """
    return Pairs.of(dataset_pairs(address, fields))


def dataset_pairs(address: str, fields: Fields = Fields()) -> Iterator[Pair]:  # noqa: B008
    """The pairs that `read_dataset` reads, one after the other."""
    library, _, rest = address.partition("://")
    name, _, query = rest.partition("?")
    # A plus is none of a form's blanks: it adds splits.
    options = dict(parse_qsl(query.replace("+", "%2B")))
    if library not in _OPTIONS or not name or "split" not in options:
        raise UserError(f"{address}: expected hf://NAME?split=SPLIT or tfds://NAME?split=SPLIT")
    for option in options:
        if option not in _OPTIONS[library]:
            known = ", ".join(sorted(_OPTIONS[library]))
            raise UserError(f"{address}: unknown option {option!r}; known are {known}")
    if library == "tfds" and name.startswith("huggingface:"):
        raise UserError(f"{address}: give hf://NAME?split=SPLIT; tensorflow_datasets would change the texts of the hub")
    load = huggingface_records if library == "hf" else _tensorflow_datasets
    return pairs_of(_records(lambda: load(name, **options), address, library), fields, address, "record")


def _records(load: Callable[[], Iterable[Any]], address: str, library: str) -> Iterator[Any]:
    """What a library gives; its errors, at the beginning or later, become those of a user."""
    try:
        yield from load()
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{address}: {error}; install it with pip install 'keras_s2s[{library}]'") from None
    except Exception as error:
        # The libraries raise whatever their own libraries raise.
        reason = " ".join(str(error).split())
        raise UserError(f"{address}: cannot be loaded: {reason[:300]}") from None


def _tensorflow_datasets(name: str, split: str, data_dir: str | None = None) -> Iterable[Any]:
    import tensorflow_datasets

    return tensorflow_datasets.as_numpy(tensorflow_datasets.load(name, split=split, data_dir=data_dir))
