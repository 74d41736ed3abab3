"""How `keras-s2s serve` does under load, on this machine alone.

python pipelines/benchmarks/serving/serving.py compare saved_models/serving TEXTS
python pipelines/benchmarks/serving/serving.py student STUDENT saved_models/serving/multi30k TEXTS
python pipelines/benchmarks/serving/serving.py overload saved_models/serving/multi30k TEXTS
python pipelines/benchmarks/serving/serving.py soak saved_models/serving/multi30k TEXTS
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from load import Answer, Load, Summary, summary

from keras_s2s.memory import bytes_of

HERE, PORT = Path(__file__).parent, 8460
CLIENTS, WARM_UP = 32, 2.0
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Bundle = Annotated[Path, typer.Argument(help="A bundle of prepare.py.")]
Texts = Annotated[Path, typer.Argument(help="Texts, one a line.")]


def _command(kind: str, bundle: Path) -> tuple[list[str], dict[str, str]]:
    """How a server is started, and its environment."""
    port = str(PORT)
    if kind.startswith("keras-s2s serve"):
        return ["keras-s2s", "serve", str(bundle), "--port", port, *kind.split()[2:]], {}
    factory, _, threads = kind.partition(", threads ")
    command = [
        "uvicorn",
        "--factory",
        f"baselines:{factory.replace(' ', '_')}",
        "--port",
        port,
        "--log-level",
        "warning",
    ]
    path = os.pathsep.join([str(HERE), str(HERE.parent / "inference")])
    return command, {"BUNDLE": str(bundle.resolve()), "THREADS": threads or "0", "PYTHONPATH": path}


@contextlib.contextmanager
def running(kind: str, bundle: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers, until the block ends."""
    command, environment = _command(kind, bundle)
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError):
                    body = json.dumps({"text": "a", "beam_size": 1}).encode()
                    headers = {"content-type": "application/json"}
                    urllib.request.urlopen(
                        urllib.request.Request(f"http://127.0.0.1:{PORT}/v1/generate", body, headers)
                    )
                    break
                time.sleep(0.1)
            else:
                raise SystemExit(f"{kind}: does not answer")
            yield process
        finally:
            process.terminate()


def load_of(texts: Path, beam_size: int) -> Load:
    """Requests with these texts."""
    lines = texts.read_text(encoding="utf-8").splitlines()
    return _load([{"text": line, "beam_size": beam_size} for line in lines])


def _load(bodies: list[dict[str, Any]]) -> Load:
    return Load(f"http://127.0.0.1:{PORT}/v1/generate", bodies)


def run(load: Load, work: Coroutine[Any, Any, None]) -> Sequence[Answer]:
    """The answers that the work brings."""

    async def whole() -> None:
        await work
        load.close()

    load.answers.clear()
    asyncio.run(whole())
    return load.answers


def _processes(server: subprocess.Popen[bytes]) -> list[Path]:
    """A server and its workers, as folders of /proc."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [Path("/proc") / str(number) for number in (server.pid, *children)]


def processor_seconds(server: subprocess.Popen[bytes]) -> float:
    """What its processes have taken so far."""
    stats = [(process / "stat").read_text().rpartition(")")[2].split() for process in _processes(server)]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def memory(server: subprocess.Popen[bytes]) -> float:
    """What its processes hold, MB; pages that several of them map are shared among them."""
    return sum(bytes_of(process / "smaps_rollup", "Pss") for process in _processes(server)) / 1e6


@app.command()
def compare(
    bundles: Annotated[Path, typer.Argument(help="The folder of prepare.py's bundles.")],
    texts: Texts,
    rounds: int = 5,
    seconds: float = 10.0,
    beam: Annotated[list[int], typer.Option()] = [1, 4],  # noqa: B006
    model: Annotated[list[str], typer.Option()] = ["multi30k", "student"],  # noqa: B006
) -> None:
    """Servers in turn, with 32 clients each of which asks again when it has its answer; medians of the rounds."""
    kinds = ["keras-s2s serve", "plain", "plain, threads 1", "ctranslate2", "ctranslate2 batches"]
    _print_header()
    for name in model:
        for size in beam:
            found: dict[str, list[tuple[Summary, float]]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind in kinds:
                    with running(kind, bundles / name) as process:
                        found[kind].append(_measured(process, load_of(texts, size), seconds))
            _print(name, size, found)


@app.command()
def student(
    bundle: Annotated[Path, typer.Argument(help="The student's bundle.")],
    teacher: Annotated[Path, typer.Argument(help="The bundle of prepare.py with the teacher's CTranslate2 model.")],
    texts: Texts,
    rounds: int = 5,
    seconds: float = 10.0,
) -> None:
    """A student beside its teacher in CTranslate2, 32 clients, greedy; blank requests are the most that can be had."""
    load = load_of(texts, 1)
    servers = {
        "keras-s2s serve, student": ("keras-s2s serve", bundle, load),
        "keras-s2s serve, teacher": ("keras-s2s serve", teacher, load),
        "ctranslate2 batches, teacher": ("ctranslate2 batches", teacher, load),
        "keras-s2s serve, blank requests": ("keras-s2s serve", bundle, _load([{"text": ""}])),
    }
    found: dict[str, list[tuple[Summary, float]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, (kind, path, requests) in servers.items():
            with running(kind, path) as process:
                found[name].append(_measured(process, requests, seconds))
    _print_header()
    _print("multi30k", 1, found)


def _print_header() -> None:
    print("| model | beam | server | answers/s | least to largest | ours over it | p50 ms | p95 ms | processor ms |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|")


def _measured(process: subprocess.Popen[bytes], load: Load, seconds: float) -> tuple[Summary, float]:
    """What 32 clients see, and how long the server's processor takes for an answer."""
    run(load, load.clients(CLIENTS, WARM_UP))
    before = processor_seconds(process)
    answers = run(load, load.clients(CLIENTS, seconds))
    return summary(answers), (processor_seconds(process) - before) / len(answers)


def _print(name: str, size: int, found: dict[str, list[tuple[Summary, float]]]) -> None:
    ours = [one.per_second for one, _ in next(iter(found.values()))]
    for kind, measured in found.items():
        rates = [one.per_second for one, _ in measured]
        ratio = median(a / b for a, b in zip(ours, rates, strict=True))
        p50, p95 = (median(getattr(one, field) for one, _ in measured) * 1000 for field in ("p50", "p95"))
        spent = median(seconds for _, seconds in measured) * 1000
        print(
            f"| {name} | {size} | {kind} | {median(rates):.0f} | {min(rates):.0f} to {max(rates):.0f} | {ratio:.2f} "
            f"| {p50:.1f} | {p95:.1f} | {spent:.2f} |",
            flush=True,
        )


@app.command()
def overload(bundle: Bundle, texts: Texts, seconds: float = 60.0, beam: int = 1, option: str = "") -> None:
    """What the server can, then 80 % of it, then three times as much, requests coming at random."""
    with running(f"keras-s2s serve {option}".strip(), bundle) as process:
        load = load_of(texts, beam)
        run(load, load.clients(CLIENTS, WARM_UP))
        capacity = summary(run(load, load.clients(CLIENTS, seconds / 3))).per_second
        calm = summary(run(load, load.rate(0.8 * capacity, seconds)))
        before = memory(process)
        answers = run(load, load.rate(3 * capacity, seconds))
        much, after = summary(answers), memory(process)
        print(f"capacity {capacity:.0f}/s; at 80 %: {calm}")
        print(f"three times: {much}; p99 {much.p99 / calm.p99:.2f} times that of 80 %")
        print(f"memory {before:.0f} MB before, {after:.0f} MB after; lost {much.statuses.get(0, 0)}")


@app.command()
def soak(bundle: Bundle, texts: Texts, minutes: float = 15.0, beam: int = 1) -> None:
    """Memory of a server that 32 clients ask all the time, a line for half a minute, and its slope."""
    with running("keras-s2s serve", bundle) as process:
        load = load_of(texts, beam)
        times, held = [], []
        for _ in range(round(2 * minutes)):
            answers = run(load, load.clients(CLIENTS, 30.0))
            times.append(time.perf_counter())
            held.append(memory(process))
            print(f"{held[-1]:.1f} MB, {summary(answers).per_second:.0f}/s, {summary(answers).statuses}", flush=True)
        half = len(held) // 2
        slope, error = _slope(times[half:], held[half:])
        print(f"slope of the second half: {slope * 3600:.2f} MB an hour, standard error {error * 3600:.2f}")


def _slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return float(slope), float(covariance[0, 0] ** 0.5)


if __name__ == "__main__":
    sys.exit(app())
