"""Starts a command twice on this machine, as the two processes of a cluster, each in a folder of its own.

Usage: python two_processes.py FOLDER COMMAND...

The first process, the chief, runs in FOLDER/worker-0 and writes here, the second runs in FOLDER/worker-1 and writes
into its log.txt. Exits with 1 if one of them failed.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path


def free_addresses(number: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def start(index: int, addresses: list[str], folder: Path, command: list[str]) -> subprocess.Popen:
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    folder.mkdir(parents=True, exist_ok=True)
    log = None if index == 0 else (folder / "log.txt").open("w")
    environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT if log else None)


def main(folder: str, *command: str) -> int:
    addresses = free_addresses(2)
    processes = [start(i, addresses, Path(folder) / f"worker-{i}", list(command)) for i in range(2)]
    codes = [process.wait() for process in processes]
    for index, code in enumerate(codes):
        if code:
            print(f"worker {index} failed with code {code}", file=sys.stderr)
    return 1 if any(codes) else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
