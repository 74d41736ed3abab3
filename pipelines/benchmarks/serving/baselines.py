"""What `keras-s2s serve` is compared with: FastAPI handlers over the same models.

    uvicorn --factory baselines:plain

Each reads from the environment BUNDLE, a folder that `prepare.py` wrote; `plain` also THREADS, of an operator, where 0
leaves it to onnxruntime.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

WORKERS, BATCH = 2, 32


class Request(BaseModel):
    """What a client asks."""

    text: str
    beam_size: int


def plain() -> FastAPI:
    """Ours, once a request, in FastAPI's threads."""
    from keras_s2s.runtime import Generator

    generator = Generator.load(os.environ["BUNDLE"], threads=int(os.environ["THREADS"]) or None)
    app = FastAPI()

    @app.post("/v1/generate")
    def generate(request: Request) -> dict[str, str]:
        ((best, *_),) = generator([request.text], beam_size=request.beam_size)
        return {"text": best.text}

    return app


class _Translator:
    """CTranslate2 with as many workers as there are cores, each of one thread."""

    def __init__(self) -> None:
        import ctranslate2
        import sentencepiece

        from keras_s2s import bundle

        found = bundle.read(os.environ["BUNDLE"])
        self._decoding = found.manifest.decoding
        self._tokens = sentencepiece.SentencePieceProcessor(
            model_file=str(found.file(found.manifest.tokenizers.source.path))
        )
        path = str(Path(os.environ["BUNDLE"]) / "ctranslate2")
        self._translator = ctranslate2.Translator(path, compute_type="int8", inter_threads=WORKERS, intra_threads=1)

    def __call__(self, requests: Sequence[Request]) -> list[str]:
        """The outputs of requests of one beam size, in one batch."""
        from theirs import number, token

        rows = [[*map(token, self._tokens.encode(request.text)), token(2)] for request in requests]
        found = self._translator.translate_batch(
            rows,
            beam_size=requests[0].beam_size,
            max_batch_size=BATCH,
            max_decoding_length=int(self._decoding.max_length_factor * max(map(len, rows)))
            + self._decoding.max_length_extra,
            length_penalty=self._decoding.length_penalty,
            return_scores=True,
        )
        return [self._tokens.decode([number(token) for token in result.hypotheses[0]]) for result in found]


def ctranslate2() -> FastAPI:
    """CTranslate2, once a request, in FastAPI's threads."""
    translator, app = _Translator(), FastAPI()

    @app.post("/v1/generate")
    def generate(request: Request) -> dict[str, str]:
        return {"text": translator([request])[0]}

    return app


def ctranslate2_batches() -> FastAPI:
    """CTranslate2, as soon as a worker is free with all that waits, up to a batch."""
    translator, pool = _Translator(), ThreadPoolExecutor(WORKERS)
    waiting: asyncio.Queue[tuple[Request, asyncio.Future[str]]] = asyncio.Queue()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await waiting.get()]
            while len(batch) < BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            texts = await loop.run_in_executor(pool, translator, [request for request, _ in batch])
            for (_, answer), text in zip(batch, texts, strict=True):
                answer.set_result(text)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work()) for _ in range(WORKERS)]
        yield
        for task in tasks:
            task.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/generate")
    async def generate(request: Request) -> dict[str, Any]:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting.put_nowait((request, answer))
        return {"text": await answer}

    return app
