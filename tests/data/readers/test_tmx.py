"""Translation memories, read by their specification (TMX 1.4b)."""

import gzip
import logging
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs, read_tmx
from keras_s2s.data.readers import tmx
from keras_s2s.testing import check_reader

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'


def unit(**segments: str) -> str:
    variants = "".join(
        f'<tuv xml:lang="{language.replace("_", "-")}"><prop type="x">no text</prop><seg>{segment}</seg></tuv>\n'
        for language, segment in segments.items()
    )
    return f'<tu tuid="1">\n<note>no text</note>{variants}</tu>\n'


def memory(*units: str) -> str:
    header = '<header srclang="en" segtype="sentence"><note>about</note></header>'
    return f'{HEAD}<tmx version="1.4">\n{header}\n<body>\n{"".join(units)}</body>\n</tmx>\n'


def read(folder: Path, *units: str, languages: tuple[str, str] = ("en", "de"), tags: tmx.Tags = "drop") -> Pairs:
    (folder / "a.tmx").write_text(memory(*units), encoding="utf-8")
    return read_tmx(folder / "a.tmx", languages, tags)


def test_the_reader_keeps_its_contract(tmp_path: Path) -> None:
    (tmp_path / "a.tmx").write_text(memory(unit(en="one", de="eins"), unit(de="zwö &amp; &#65;", en=" two\n ")))
    whole = memory(unit(en="a", de="ä"))
    mistakes = {
        "none of 1 units has both 'en' and 'de'; their languages are 'en', 'fr'": memory(unit(en="", fr="")),
        "none of 0 units has both 'en' and 'de'": memory(),
        "begins with the element 'html'; expected 'tmx'": "<html/>",
        "line 9: broken XML, or cut short: mismatched tag": whole.replace("</tu>", "</t>"),
        "line 10: broken XML, or cut short: no element found": whole.partition("</body>")[0],
        "line 8: broken XML, or cut short: unclosed token": whole.partition("eg>ä")[0],
    }
    check_reader(
        {"tmx": "a.tmx", "languages": ["en", "de"], "tags": "symbols"},
        tmp_path,
        Pairs(["one", " two\n "], ["eins", "zwö & A"]),
        {message: content.encode() for message, content in mistakes.items()},
    )
    (tmp_path / "a.tmx").write_bytes(whole.encode("latin-1"))
    with pytest.raises(UserError, match=r"a\.tmx: line 8: broken XML, or cut short: not well-formed"):
        read_tmx(tmp_path / "a.tmx", ("en", "de"))


def test_languages(tmp_path: Path) -> None:
    units = (unit(en_GB="colour", en_US="color", DE="Farbe"), unit(en="red", de_AT="rot"))
    assert read(tmp_path, *units) == Pairs(["colour", "red"], ["Farbe", "rot"])
    assert read(tmp_path, *units, languages=("de", "en_us")) == Pairs(["Farbe", "rot"], ["color", "red"])
    with pytest.raises(UserError, match=r"none of 2 units has both 'en' and 'd'"):
        read(tmp_path, *units, languages=("en", "d"))


def test_units_that_lack_a_language_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, unit(en="a"), unit(en="b", de="B"), unit(fr="c")) == Pairs(["b"], ["B"])
    assert caplog.messages == [f"{tmp_path / 'a.tmx'}: 2 of 3 units are left out, because they lack 'en' or 'de'"]


def test_the_language_of_tmx_1_1(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(memory(unit(en="a", de="b")).replace("xml:lang", "lang"))
    assert read_tmx(tmp_path / "a", ("en", "de")) == Pairs(["a"], ["b"])


TAGGED = {
    # A link whose title is a sub-flow, a picture and a highlighted name; the target has them in another order.
    "en": 'See <bpt i="1" x="1">&lt;a title="<sub>our page</sub>"&gt;</bpt>the <hi type="name">Moon</hi><ept i="1">'
    '&lt;/a&gt;</ept> and <ph x="2">&lt;img/&gt;</ph>.',
    "de": '<ph x="2">&lt;img/&gt;</ph> und <bpt i="7" x="1">&lt;a&gt;</bpt>der Mond<ept i="7">&lt;/a&gt;</ept>.',
}


def test_tags_are_dropped_with_their_codes_but_not_what_is_highlighted(tmp_path: Path) -> None:
    assert read(tmp_path, unit(**TAGGED)) == Pairs(["See the Moon and ."], [" und der Mond."])


def test_tags_become_symbols_that_agree_in_both_languages(tmp_path: Path) -> None:
    pairs = read(tmp_path, unit(**TAGGED), tags="symbols")
    assert pairs == Pairs(["See <1>the Moon</1> and <2/>."], ["<2/> und <1>der Mond</1>."])


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        ('<bpt i="1"/>a<bpt i="2"/>b<ept i="2"/>c<ept i="1"/>', "<1>a<2>b</2>c</1>"),
        ('<bpt i="1"/>a<bpt i="2"/>b<ept i="1"/>c<ept i="2"/>', "<1>a<2>b</1>c</2>"),
        ('<it pos="end"/>a<ut>x</ut>b', "<1/>a<2/>b"),
        ('<ept i="3"/>a<ph/>', "</1>a<2/>"),
        ("<hi>a<ph>x<sub>y<ph/>z</sub></ph><hi>b</hi></hi>", "a<1/>b"),
    ],
)
def test_symbols(tmp_path: Path, segment: str, text: str) -> None:
    assert read(tmp_path, unit(en=segment, de="x"), tags="symbols").sources == [text]
    assert read(tmp_path, unit(en="", de=segment), tags="symbols").targets == [text]


def test_numbers_of_tags_begin_at_1_in_each_unit(tmp_path: Path) -> None:
    units = [unit(en='<ph x="812"/>', de='<ph x="812"/>'), unit(en="<ph/>", de="<ph/>")]
    assert read(tmp_path, *units, tags="symbols") == Pairs(["<1/>"] * 2, ["<1/>"] * 2)


@pytest.mark.parametrize(
    ("doctype", "entity"),
    [
        ('<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">', "lol"),
        ('<!ENTITY file SYSTEM "file:///etc/passwd">', "file"),
        ('<!ENTITY % dtd SYSTEM "http://localhost/a.dtd"> %dtd;', "dtd"),
    ],
)
def test_entities_are_refused(tmp_path: Path, doctype: str, entity: str) -> None:
    content = memory(unit(en="&lol2;", de="x")).replace('SYSTEM "tmx14.dtd"', f"[{doctype}]")
    (tmp_path / "a.tmx").write_text(content)
    with pytest.raises(UserError, match=rf"a\.tmx: declares the entity '{entity}', and such files are not read; "):
        read_tmx(tmp_path / "a.tmx", ("en", "de"))


def test_encodings_and_compression(tmp_path: Path) -> None:
    content = memory(unit(en="é", de="ß"))
    (tmp_path / "a.tmx.gz").write_bytes(gzip.compress(content.encode()))
    (tmp_path / "b.tmx").write_bytes(content.replace("UTF-8", "UTF-16").encode("utf-16"))
    (tmp_path / "c.tmx").write_bytes(content.replace("UTF-8", "latin-1").encode("latin-1"))
    assert read_tmx(tmp_path / "*.tmx*", ("en", "de")) == Pairs(["é"] * 3, ["ß"] * 3)
    (tmp_path / "c.tmx").write_text(content.replace("UTF-8", "klingon"))
    with pytest.raises(UserError, match=r"c\.tmx: unknown encoding: klingon; write the file in UTF-8$"):
        read_tmx(tmp_path / "c.tmx", ("en", "de"))
    (tmp_path / "a.tmx.gz").write_bytes(gzip.compress(content.encode())[:-9])
    with pytest.raises(UserError, match=r"a\.tmx\.gz: not a gzip file, or cut short"):
        read_tmx(tmp_path / "a.tmx.gz", ("en", "de"))
