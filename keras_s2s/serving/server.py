"""The server as a process: it listens, and at a signal it finishes what it has taken."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from keras_s2s.bundle import steps_name
from keras_s2s.errors import UserError
from keras_s2s.memory import keep_freed_memory
from keras_s2s.serving.app import make_app
from keras_s2s.serving.logs import log_as_json
from keras_s2s.serving.messages import WorkerOptions
from keras_s2s.serving.metrics import Metrics
from keras_s2s.serving.model_repository import ModelRepository
from keras_s2s.serving.pool import Pool
from keras_s2s.serving.service import Service
from keras_s2s.serving.settings import Settings

logger = logging.getLogger(__name__)


def serve(paths: Sequence[Path], settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serves bundles until SIGTERM or SIGINT comes.

    Args:
        paths: folders of bundles.
        settings: of the server.
        host: the address that it listens at.
        port: the port; 0 takes a free one.
        say: is told in a line where it listens.

    Raises:
        UserError: a bundle that cannot be model, or an address that cannot be had.
    """
    keep_freed_memory()
    log_as_json()
    listening, metrics = _listen(host, port), Metrics()
    options = WorkerOptions(settings.precision, settings.threads, settings.batch_size, settings.provider)
    pool = Pool(settings.workers, options, settings.queue, metrics)
    models = ModelRepository(paths, settings.precision, settings.provider, pool)
    config = uvicorn.Config(
        make_app(Service(models, pool, settings), metrics),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
    )

    async def run() -> None:
        try:
            await pool.start()
            await models.load()
            say(f"serving {', '.join(model.name for model in models)} at {_url(listening)}")
            _tell_of_missing_steps(models)
            # uvicorn raises a signal again when it has stopped; by then it has been obeyed.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            watching = asyncio.create_task(models.watch(metrics))
            await uvicorn.Server(config).serve(sockets=[listening])
            watching.cancel()
        finally:
            await pool.close()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(run())


def _tell_of_missing_steps(models: ModelRepository) -> None:
    for model in models:
        if not model.has_steps(model.default):
            facts = {"model": model.name, "graph": model.default, "export": steps_name(model.default)}
            logger.warning("a stream shows an output when it is done, for lack of steps", extra={"facts": facts})


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError as error:
        message = f"{host}:{port}: cannot be listened at: {error.strerror}; choose another --host or --port"
        raise UserError(message) from None
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
