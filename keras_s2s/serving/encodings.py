"""Compressed bodies: gzip and deflate, unpacked piece by piece so that a small body cannot fill the memory."""

import zlib
from collections.abc import Iterator, Sequence

from keras_s2s.serving.http_problem import HTTPProblem

ENCODINGS = ("gzip", "deflate")
"""How bodies may be compressed, the preferred way first."""
_ALIASES = {"x-gzip": "gzip"}
_MOST_LAYERS = 2
"""A body may have been compressed so many times; each layer has a buffer of its own."""
_PIECE = 65_536
_STEP = 4_096
"""Bytes unpacked at a time: what follows a member is copied, and there may be thousands of members."""
_TRAILING = "something follows the compressed body"
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_LEVEL = 1
"""Answers are short, and the process that compresses them reads requests, too."""


class Unpacker:
    """Unpacks a body as it comes.

    Args:
        header: the values of `Content-Encoding`, each of which may list several encodings; the last was applied last.
        most: the bytes that each layer may unpack to.

    Raises:
        HTTPProblem: 415, an encoding that is not known, or too many of them.
    """

    def __init__(self, header: Sequence[str], most: int) -> None:
        listed = [name.strip().lower() for value in header for name in value.split(",")]
        names = [_ALIASES.get(name, name) for name in listed if name not in ("", "identity")]
        for name in names:
            if name not in ENCODINGS:
                raise _unknown(f"'{name[:40]}' is not known; send {' or '.join(ENCODINGS)}, or none")
        if len(names) > _MOST_LAYERS:
            raise _unknown(f"{len(names)} encodings, at most {_MOST_LAYERS} are taken")
        self._layers = [_Layer(name, most) for name in reversed(names)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpacks a part of the body, in pieces of at most 64 KiB; without encodings, the part itself.

        Raises:
            HTTPProblem: 400, it is damaged; 413, it unpacks to too much.
        """
        return _through(self._layers, data)

    def end(self) -> None:
        """There is no more of the body.

        Raises:
            HTTPProblem: 400, something is missing.
        """
        for layer in self._layers:
            layer.end()


class _Layer:
    """One encoding of a body. Members of gzip may follow each other; deflate may come without zlib's frame."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._left, self._most = name, most, most
        self._held = b""
        self._stream: zlib._Decompress | None = None
        self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._held = self._held + data, b""
        is_full = False
        while data or is_full:
            if self._stream is None:
                if len(data) < 2:  # The frame shows in the first two bytes.
                    self._held = data
                    return
                self._stream = zlib.decompressobj(self._frame(data))
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error:
                raise self._damaged("the body is damaged") from None
            self._left -= len(piece)
            if self._left < 0:
                raise HTTPProblem(413, f"the body unpacks to more than {self._most} bytes; send several requests")
            if piece:
                yield piece
            data, is_full = self._stream.unconsumed_tail, len(piece) == _PIECE
            if self._stream.eof:
                data, is_full = self._stream.unused_data, False
                self._stream = None
                self._members += 1

    def end(self) -> None:
        if self._held and self._members:
            raise self._damaged(_TRAILING)
        if self._stream is not None or not self._members:
            raise self._damaged("the body is cut short")

    def _frame(self, data: bytes) -> int:
        """The frame that zlib should expect; a damaged beginning is found when it is read."""
        if self._members and (self._name != "gzip" or data[:2] != b"\x1f\x8b"):
            raise self._damaged(_TRAILING)
        if self._name == "gzip":
            return _GZIP
        is_framed = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
        return _ZLIB if is_framed else _RAW

    def _damaged(self, what: str) -> HTTPProblem:
        return HTTPProblem(400, f"content-encoding: {self._name}: {what}")


def _unknown(what: str) -> HTTPProblem:
    return HTTPProblem(415, f"content-encoding: {what}", headers={"accept-encoding": ", ".join(ENCODINGS)})


def _through(layers: Sequence[_Layer], data: bytes) -> Iterator[bytes]:
    if not layers:
        yield data
        return
    for place in range(0, len(data), _STEP):
        for piece in layers[0].feed(data[place : place + _STEP]):
            yield from _through(layers[1:], piece)


def accepted(header: str) -> str | None:
    """The encoding of `ENCODINGS` that an `Accept-Encoding` wants most; None if it names none, or wants none more."""
    weights = dict(map(_weight, header.lower().split(",")))
    best = max(ENCODINGS, key=lambda name: weights.get(name, 0.0))
    return best if weights.get(best, 0.0) > 0 and weights[best] >= weights.get("identity", 0.0) else None


def _weight(choice: str) -> tuple[str, float]:
    """An encoding and its weight, 1 where none is given and 0 where it is no number."""
    name, _, parameter = choice.partition(";")
    key, _, value = parameter.partition("=")
    if key.strip() != "q":
        return _ALIASES.get(name.strip(), name.strip()), 1.0
    try:
        return _ALIASES.get(name.strip(), name.strip()), float(value)
    except ValueError:
        return name.strip(), 0.0


def packed(body: bytes, encoding: str) -> bytes:
    """A body in an encoding of `ENCODINGS`; deflate in zlib's frame, as HTTP has it."""
    stream = zlib.compressobj(_LEVEL, wbits=_GZIP if encoding == "gzip" else _ZLIB)
    return stream.compress(body) + stream.flush()
