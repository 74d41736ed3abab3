"""What `keras_s2s serve` is compared with: a FastAPI handler that calls the model once a request.

    uvicorn --factory plain:keras_s2s_app
"""

import os

from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    text: str
    beam_size: int


def keras_s2s_app() -> FastAPI:
    """A bundle; environment: BUNDLE, THREADS (of an operator; 0 leaves it to onnxruntime)."""
    from keras_s2s.runtime import Generator

    app, generator = FastAPI(), Generator.load(os.environ["BUNDLE"], threads=int(os.environ["THREADS"]) or None)

    @app.post("/v1/generate")
    def generate(request: Request) -> dict[str, str]:
        ((best, *_),) = generator([request.text], beam_size=request.beam_size)
        return {"text": best.text}

    return app
