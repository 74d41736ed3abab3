"""Settings of a server."""

from pydantic import Field

from keras_s2s.config import Config
from keras_s2s.cores import available_cores
from keras_s2s.runtime.providers import CPU


class Settings(Config):
    """How a server works, and what it takes.

    Args:
        provider: of onnxruntime, a name of `PROVIDERS`.
        precision: which of the bundles' graphs; None is the one that suits the provider.
        workers: processes, each with batches of its own.
        threads: of an operator.
        batch_size: the most texts of a batch.
        queue: the most texts that wait before requests are refused.
        timeout: seconds that a request may take.
        max_bytes: of a request's body.
        max_texts: of a request.
        max_beam: hypotheses a text: of a beam, of all groups of one, or drawn.
        max_tokens: that may come out for a text.
        token: without it, as a bearer token, requests are refused; None takes all.
        log_text: whether the log may tell texts.
    """

    provider: str = CPU
    precision: str | None = None
    workers: int = Field(default_factory=available_cores, ge=1)
    threads: int = Field(default=1, ge=1)
    batch_size: int = Field(default=16, ge=1)
    queue: int = Field(default=8, ge=1)
    timeout: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    max_bytes: int = Field(default=1_000_000, ge=1)
    max_texts: int = Field(default=64, ge=1)
    max_beam: int = Field(default=16, ge=1)
    max_tokens: int = Field(default=1_000, ge=1)
    token: str | None = Field(default=None, min_length=1, repr=False)
    log_text: bool = False
