"""Zip files as OPUS has them."""

import io
import zipfile
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs, read_moses
from keras_s2s.data.pairs import join
from keras_s2s.data.readers.moses import moses_blocks
from keras_s2s.testing import check_reader

PAIRS = Pairs(["one", "twö", "three"], ["eins", "zwei", "drei"])


def packed(**members: str | bytes) -> bytes:
    """A zip file with these members of `Books.de-en`, and what else OPUS puts in."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "Books, v1\n")
        archive.writestr("LICENSE", "free\n")
        for name, content in members.items():
            archive.writestr(f"Books.de-en.{name}", content)
        archive.writestr("Books.de-en.xml", "<cesAlign/>")
    return file.getvalue()


WHOLE = packed(de="eins\nzwei\ndrei\n", en="one\ntwö\nthree\n")


def test_the_reader_keeps_its_contract(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(WHOLE)
    check_reader(
        {"moses": "a.zip", "languages": ["en", "de"]},
        tmp_path,
        PAIRS,
        {
            "Books.de-en.en has 2 lines and ": packed(de="a\n", en="a\nb\n"),
            "Books.de-en.de has 1; line N of one": packed(de="a\n", en="a\nb\n"),
            "Books.de-en.en: no lines": packed(de="", en=""),
            "Books.de-en.de: line 2: not UTF-8": packed(de=b"a\n\xff\n", en="a\nb\n"),
            "0 members end in .de; expected one, of: README, LICENSE, Books.de-en.en": packed(en="a\n"),
            "not a zip file, or damaged or cut short; download it again": WHOLE[:-30],
        },
    )


def test_the_order_of_languages_is_that_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(WHOLE)
    assert read_moses(tmp_path / "a.zip", ("de", "en")) == Pairs(PAIRS.targets, PAIRS.sources)


def test_several(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.zip").write_bytes(WHOLE)
    blocks = [block.pairs() for block in moses_blocks(tmp_path / "*.zip", ("en", "de"), size=2)]
    assert [len(block) for block in blocks] == [2, 1, 2, 1]
    assert join(blocks) == join([PAIRS, PAIRS])


def test_two_members_of_one_language(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a.en", "b.en", "a.de"):
            archive.writestr(name, "x\n")
    with pytest.raises(UserError, match=r"a\.zip: 2 members end in \.en; expected one, of: a\.en, b\.en, a\.de$"):
        read_moses(tmp_path / "a.zip", ("en", "de"))


def test_a_damaged_member(tmp_path: Path) -> None:
    content = bytearray(packed(de="eins\n", en="one\n"))
    content[content.index(b"Books.de-en.en") + len("Books.de-en.en") + 2] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip: not a zip file, or damaged or cut short"):
        read_moses(tmp_path / "a.zip", ("en", "de"))
    with pytest.raises(UserError, match=r"b\.zip: cannot be read: No such file"):
        read_moses(tmp_path / "b.zip", ("en", "de"))
