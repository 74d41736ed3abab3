"""Compressed bodies: what they unpack to, whatever way they come, and no more than the limit of it."""

import asyncio
import gzip
import json
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from keras_s2s.runtime import Generator
from keras_s2s.serving.encodings import Unpacker, accepted, packed
from keras_s2s.serving.http_problem import HTTPProblem

LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/stepwise/infer"
MOST = 100_000
TEXT = json.dumps({"text": ["abc", "hello 12"]}).encode()


def raw_deflate(body: bytes) -> bytes:
    """Deflate without zlib's frame, as some clients send it."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


def members(body: bytes) -> bytes:
    """Several members of gzip, one of them empty."""
    return gzip.compress(body[:5]) + gzip.compress(b"") + gzip.compress(body[5:])


GOOD: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("identity", bytes),
    ("", bytes),
    ("gzip", gzip.compress),
    ("GZip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", members),
    ("deflate", zlib.compress),
    ("deflate", lambda body: zlib.compress(body, 0)),
    ("deflate", lambda body: zlib.compress(body, wbits=9)),
    ("deflate", raw_deflate),
    ("identity, gzip", gzip.compress),
    ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    ("gzip,deflate , identity", lambda body: raw_deflate(gzip.compress(body))),
]
BAD: list[tuple[str, bytes, int, str]] = [
    ("br", TEXT, 415, "content-encoding: 'br' is not known; send gzip or deflate, or none"),
    ("gzip, zstd", TEXT, 415, "'zstd' is not known"),
    ("x" * 5000, TEXT, 415, "is not known"),
    ("gzip, gzip, gzip", TEXT, 415, "3 encodings, at most 2 are taken"),
    ("gzip", b"", 400, "content-encoding: gzip: the body is cut short"),
    ("gzip", b"\x1f", 400, "gzip: the body is cut short"),
    ("gzip", gzip.compress(TEXT, mtime=0)[:-1], 400, "gzip: the body is cut short"),
    ("gzip", gzip.compress(TEXT, mtime=0)[:-9], 400, "gzip: the body is cut short"),
    ("gzip", gzip.compress(TEXT, mtime=0) + gzip.compress(TEXT, mtime=0)[:12], 400, "gzip: the body is cut short"),
    ("gzip", gzip.compress(TEXT, mtime=0) + b"\x00", 400, "gzip: something follows the compressed body"),
    ("gzip", gzip.compress(TEXT, mtime=0) + bytes(8), 400, "gzip: something follows the compressed body"),
    ("gzip", gzip.compress(TEXT, mtime=0) + TEXT, 400, "gzip: something follows the compressed body"),
    ("gzip", TEXT, 400, "gzip: the body is damaged"),
    ("gzip", zlib.compress(TEXT), 400, "gzip: the body is damaged"),
    ("gzip", gzip.compress(TEXT, mtime=0)[:-8] + bytes(8), 400, "gzip: the body is damaged"),
    ("deflate", b"", 400, "deflate: the body is cut short"),
    ("deflate", zlib.compress(TEXT)[:-1], 400, "deflate: the body is cut short"),
    ("deflate", raw_deflate(TEXT)[:-1], 400, "deflate: the body is cut short"),
    ("deflate", zlib.compress(TEXT) + zlib.compress(TEXT), 400, "deflate: something follows the compressed body"),
    ("deflate", zlib.compress(TEXT)[:-4] + bytes(4), 400, "deflate: the body is damaged"),
    ("deflate", gzip.compress(TEXT, mtime=0), 400, "deflate: the body is damaged"),
    ("gzip, deflate", zlib.compress(TEXT), 400, "gzip: the body is damaged"),
    ("gzip, deflate", zlib.compress(gzip.compress(TEXT, mtime=0)[:-1]), 400, "gzip: the body is cut short"),
]


def unpacked(header: list[str], body: bytes, part: int, most: int = MOST) -> bytes:
    """What a body that comes in parts of so many bytes unpacks to."""
    unpacker = Unpacker(header, most)
    found = b"".join(
        piece for place in range(0, len(body), part) for piece in unpacker.feed(body[place : place + part])
    )
    unpacker.end()
    return found


@pytest.mark.parametrize("part", [1, 2, 3, 1000, 10**6])
@pytest.mark.parametrize("place", range(len(GOOD)))
def test_a_body_is_what_it_was(place: int, part: int) -> None:
    encoding, pack = GOOD[place]
    rng = random.Random(place)
    for body in (b"", b"a", TEXT, rng.randbytes(3000), bytes(MOST)):
        assert unpacked([encoding], pack(body), part) == body
    assert unpacked(["deflate", "gzip"], gzip.compress(zlib.compress(TEXT), mtime=0), part) == TEXT


@pytest.mark.parametrize("part", [1, 10**6])
@pytest.mark.parametrize(("encoding", "body", "status", "why"), BAD)
def test_what_is_no_such_body_is_refused(encoding: str, body: bytes, status: int, why: str, part: int) -> None:
    with pytest.raises(HTTPProblem) as problem:
        unpacked([encoding], body, part)
    assert problem.value.status == status
    assert why in problem.value.message
    assert len(problem.value.message) < 200


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small bodies that unpack to much, or need much to be looked at."""
    zeros = bytes(50_000_000)
    yield "gzip", gzip.compress(zeros, mtime=0)
    yield "deflate", zlib.compress(zeros)
    yield "deflate", raw_deflate(zeros)
    yield "gzip", b"".join(gzip.compress(bytes(MOST // 4), mtime=0) for _ in range(5))
    yield "gzip, gzip", gzip.compress(gzip.compress(zeros), mtime=0)
    # Blocks of nothing: the second layer has much to read, and gives nothing.
    yield "deflate, gzip", gzip.compress(b"\x00\x00\x00\xff\xff" * 10_000_000, mtime=0)


def test_a_bomb_is_refused_when_the_limit_is_passed_and_not_later() -> None:
    for encoding, bomb in bombs():
        assert len(bomb) < MOST
        tracemalloc.start()
        with pytest.raises(HTTPProblem, match=f"unpacks to more than {MOST} bytes") as problem:
            unpacked([encoding], bomb, 65_536)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert problem.value.status == 413
        assert peak < 10 * MOST, encoding
    assert unpacked(["gzip"], gzip.compress(bytes(MOST), mtime=0), 100) == bytes(MOST)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", None),
        ("identity", None),
        ("br, zstd", None),
        ("*", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip, br, zstd", "gzip"),
        ("GZIP ; q=0.5 , Deflate;q=0.8", "deflate"),
        ("gzip;q=0.4, identity", None),
        ("gzip, identity", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, deflate", "deflate"),
        ("x-gzip", "gzip"),
        ("gzip;q=much", None),
        ("gzip;q=nan", None),
        (";q=1,,;", None),
    ],
)
def test_which_encoding_a_client_wants(header: str, wanted: str | None) -> None:
    assert accepted(header) == wanted
    if wanted:
        assert unpacked([wanted], packed(TEXT, wanted), 1000) == TEXT


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_every_route_takes_such_bodies(server: Any, generator: Generator, place: int) -> None:
    encoding, pack = GOOD[place]
    headers = {"content-encoding": encoding}
    found = server.post("/v1/generate", pack(TEXT), headers=headers).json()
    expected = [best.text for best, *_ in generator(["abc", "hello 12"])]
    assert [result["hypotheses"][0]["text"] for result in found["results"]] == expected
    pair = json.dumps({"source": "abc", "target": "ab"}).encode()
    assert server.post("/v1/score", pack(pair), headers=headers).json() == server.post("/v1/score", pair).json()
    raw = b"".join(struct.pack("<I", len(text)) + text for text in (b"abc", b"hello 12"))
    one = {"name": "text", "shape": [2, 1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [one]}).encode()
    answer = server.post(INFER, pack(head + raw), headers={**headers, LENGTH: str(len(head))})
    assert answer.json()["outputs"][0]["data"] == expected
    assert server.post("/v2/repository/index", pack(b'{"ready": true}'), headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/score", INFER, "/v2/repository/index"])
def test_every_route_refuses_the_others(server: Any, path: str) -> None:
    for encoding, body, status, why in BAD:
        answer = server.post(path, body, headers={"content-encoding": encoding})
        assert (answer.status_code, set(answer.json())) == (status, {"error"})
        assert why in answer.json()["error"]
        assert answer.headers.get("accept-encoding") == ("gzip, deflate" if status == 415 else None)
    bomb = gzip.compress(b'{"text": "' + b"a" * 20_000_000, mtime=0)
    answer = server.post(path, bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413
    assert answer.json() == {"error": "the body unpacks to more than 1000000 bytes; send several requests"}


@pytest.mark.parametrize("request_encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_encoding", [None, "gzip", "deflate"])
def test_triton_s_client_compresses_both_ways(
    server: Any, generator: Generator, request_encoding: str | None, response_encoding: str | None
) -> None:
    one = triton.InferInput("text", [2, 1], "BYTES")
    one.set_data_from_numpy(np.array([[b"abc"], [b"hello 12"]], object))
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        found = client.infer(
            "stepwise",
            [one],
            request_compression_algorithm=request_encoding,
            response_compression_algorithm=response_encoding,
        )
    assert found.as_numpy("text").tolist() == [[best.text.encode()] for best, *_ in generator(["abc", "hello 12"])]


def test_a_client_that_always_accepts_encodings_reads_every_answer(server: Any) -> None:
    """aiohttp asks for gzip and deflate by itself, and Triton's client unpacks only what inference answers."""

    async def ask() -> tuple[Any, ...]:
        async with triton_aio.InferenceServerClient(server.url.removeprefix("http://")) as client:
            one = triton.InferInput("text", [1, 1], "BYTES")
            one.set_data_from_numpy(np.array([[b"abc"]], object))
            found = await client.infer("stepwise", [one])
            with pytest.raises(InferenceServerException, match=r"\[404\] model: no 'other'"):
                await client.infer("other", [one])
            told = await client.get_model_config("stepwise"), await client.get_inference_statistics("stepwise")
            return found.as_numpy("text").shape, *told

    shape, config, statistics = asyncio.run(ask())
    assert shape == (1, 1)
    assert config["name"] == statistics["model_stats"][0]["name"] == "stepwise"


def test_an_answer_of_infer_is_compressed_as_it_is_asked_and_no_other(server: Any) -> None:
    asked = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["abc"]}]}
    plain = server.post(INFER, asked, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for encoding in ("gzip", "deflate"):
        answer = server.post(INFER, asked, headers={"accept-encoding": encoding})
        assert (answer.headers["content-encoding"], answer.headers["vary"]) == (encoding, "Accept-Encoding")
        assert answer.json() == plain.json()
    wanted = {"accept-encoding": "gzip", "x-request-id": "refused"}
    assert "content-encoding" not in server.post(INFER, {}, headers=wanted).headers
    assert "content-encoding" not in server.get("/v2/models/stepwise", headers=wanted).headers
    for stream in (True, False):
        body = {"text": "abc", "stream": stream}
        assert "content-encoding" not in server.post("/v1/generate", body, headers=wanted).headers
