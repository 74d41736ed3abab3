"""Work in a process of its own, which shares neither memory nor random state."""

import pickle
import subprocess
import sys


def run(module: str, given: object) -> subprocess.CompletedProcess[bytes]:
    """Runs a module as a process that reads `given`, pickled, from its standard input.

    Args:
        module: its dotted name; what stands under its `if __name__ == "__main__"` calls `read`.
        given: what it needs.
    """
    return subprocess.run([sys.executable, "-m", module], input=pickle.dumps(given), capture_output=True, check=False)


def read() -> object:
    """The entry point of the process that `run` starts."""
    return pickle.loads(sys.stdin.buffer.read())


def failure(done: subprocess.CompletedProcess[bytes]) -> RuntimeError:
    """An error with all that a process wrote before it failed."""
    return RuntimeError(f"a step that was tried failed:\n{done.stderr.decode(errors='replace')}")
