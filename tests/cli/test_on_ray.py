"""`generate --ray` on a cluster of two nodes in this machine."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s.cli.unfinished import journal_of

COMMAND = [sys.executable, "-m", "keras_s2s.cli", "generate"]
# What Ray's own code says of the level at which it writes.
OF_RAY = b"Set ray log level"


@pytest.fixture
def on_ray(cluster: str) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs the command on the cluster; without Ray's own lines in what it says."""

    def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        command = [*COMMAND, *map(str, arguments), "--ray"]
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=240,
            env={**os.environ, "RAY_ADDRESS": cluster},
            stdin=subprocess.DEVNULL,
        )
        done.stderr = b"".join(line for line in done.stderr.splitlines(keepends=True) if OF_RAY not in line)
        return done

    return run


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """With a byte order mark, empty lines, a line that is too long in the second window, and no end of the last."""
    path = tmp_path / "in.txt"
    lines = [f"abc {number}" if number % 7 else "" for number in range(3000)]
    lines[1500] = "a" * 100
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    return path


def compare(here: subprocess.CompletedProcess[bytes], there: subprocess.CompletedProcess[bytes]) -> None:
    assert (there.returncode, there.stderr) == (here.returncode, here.stderr)
    assert there.stdout == here.stdout


@pytest.mark.slow
def test_results_are_those_without_it(
    many_graphs_bundle: Path, texts: Path, tmp_path: Path, process: Callable, on_ray: Callable
) -> None:
    arguments = [many_graphs_bundle, "--precision", "fp32", "--input", texts]
    samples = [*arguments, "--strategy", "sample", "--n-best", 2, "--scores", "--output"]
    here, there = process("generate", *samples, tmp_path / "here"), on_ray(*samples, tmp_path / "there")
    assert here.stderr.startswith(b"keras-s2s: text 1501: ")
    compare(here, there)
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()
    assert here.returncode == 0

    prefixes = tmp_path / "prefixes"
    prefixes.write_text("".join(f"{number}\n" for number in range(3000)))
    prefixed = [*arguments, "--strategy", "greedy", "--prefix", prefixes]
    here = process("generate", *prefixed)
    compare(here, on_ray(*prefixed))
    assert here.stdout.startswith(b"\n1abc 1\n2abc 2\n")


@pytest.mark.slow
def test_compressed_files_and_what_is_said_at_the_end(
    many_graphs_bundle: Path, texts: Path, tmp_path: Path, process: Callable, on_ray: Callable
) -> None:
    source, prefixes = tmp_path / "in.gz", tmp_path / "prefixes.gz"
    source.write_bytes(gzip.compress(b"".join(b"a" * (number % 5) + b"\n" for number in range(3000))))
    prefixes.write_bytes(gzip.compress(b"x\n" * 3000))
    arguments = [many_graphs_bundle, "--precision", "fp32", "--strategy", "greedy", "--input", source]
    limited = [*arguments, "--max-length-factor", 0, "--max-length-extra", 3]
    here = process("generate", *limited)
    assert here.stderr.startswith(b"keras-s2s: 1,200 of 3,000 outputs are as long as their limit allows; ")
    compare(here, on_ray(*limited))
    here = process("generate", *arguments, "--prefix", prefixes)
    assert here.stdout.startswith(b"\nxa\nxaa\n")
    compare(here, on_ray(*arguments, "--prefix", prefixes))
    source.write_bytes(source.read_bytes()[:-9])
    here = process("generate", *arguments)
    assert (here.returncode, here.stdout) == (2, b"")
    compare(here, on_ray(*arguments))


@pytest.mark.slow
def test_mistakes_are_those_without_it(
    many_graphs_bundle: Path, texts: Path, tmp_path: Path, process: Callable, on_ray: Callable
) -> None:
    arguments = [many_graphs_bundle, "--precision", "fp32", "--strategy", "greedy", "--input", texts]
    here = process("generate", *arguments, "--strict")
    assert (here.returncode, here.stdout.count(b"\n")) == (2, 1024)
    compare(here, on_ray(*arguments, "--strict"))

    prefixes = tmp_path / "prefixes"
    for count in (2000, 3001):
        prefixes.write_text("x\n" * count)
        here = process("generate", *arguments, "--prefix", prefixes)
        assert here.returncode == 2
        compare(here, on_ray(*arguments, "--prefix", prefixes))

    texts.write_bytes(b"abc\n" * 1100 + b"\xff\n" + b"abc\n" * 1000)
    here = process("generate", *arguments)
    assert (here.returncode, here.stdout) == (2, b"abc\n" * 1100)
    compare(here, on_ray(*arguments))


@pytest.mark.slow
def test_it_goes_on_with_what_was_begun_without_it(
    echo_bundle: Path, texts: Path, tmp_path: Path, process: Callable, on_ray: Callable
) -> None:
    texts.write_bytes(b"abc\n" * 1100 + b"\xff\n" + b"abc\n" * 1000)
    output = tmp_path / "out"
    arguments = [echo_bundle, "--precision", "fp32", "--input", texts, "--output", output]
    assert process("generate", *arguments).returncode == 2
    output.write_bytes(b"?" + output.read_bytes()[1:])
    done = on_ray(*arguments)
    assert done.returncode == 2
    assert b"line 1101: not UTF-8" in done.stderr
    assert output.read_bytes() == b"?bc\n" + b"abc\n" * 1099
    assert journal_of(output).exists()


def test_it_needs_its_extra(echo_bundle: Path, texts: Path) -> None:
    program = "import sys; sys.modules['ray'] = None; from keras_s2s.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "generate", echo_bundle, "--precision", "fp32", "--ray"]
    done = subprocess.run([*map(str, command), "--input", texts], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    expected = 'generate --ray needs packages of its own, and ray is missing; pip install "keras_s2s[ray]"'
    assert done.stderr == f"keras-s2s: {expected}\n"


def test_it_reads_files(command: Callable, echo_bundle: Path) -> None:
    code, out, err = command("generate", echo_bundle, "--precision", "fp32", "--ray")
    assert (code, out) == (2, "")
    assert err == "keras-s2s: --ray: reads its input in parts; give files with --input and --prefix\n"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere"])
def test_where_no_cluster_is(
    command: Callable, echo_bundle: Path, texts: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    import ray  # noqa: F401

    monkeypatch.setenv("RAY_ADDRESS", address)
    code, out, err = command("generate", echo_bundle, "--precision", "fp32", "--ray", "--input", texts)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"--ray: nobody answers at RAY_ADDRESS, '{address}'" in err
