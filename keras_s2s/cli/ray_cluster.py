"""The Ray cluster of `--ray`."""

import importlib
import logging
import os
import socket

from keras_s2s.cli.packages import needed_packages
from keras_s2s.errors import UserError


def connect(verb: str, module: str = "ray") -> None:
    """Takes the cluster that there is, or starts one on this machine.

    Args:
        verb: who needs it, in messages.
        module: what is needed of Ray.

    Raises:
        UserError: Ray is missing, or nobody answers where a cluster shall be.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Of what Ray says only what it raises.
    with needed_packages(f"{verb} --ray", "ray"):
        importlib.import_module(module)
    import ray

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    ray.init(log_to_driver=False, logging_level=logging.ERROR)


def _check_address(address: str) -> None:
    """Looks whether somebody answers; Ray would ask for minutes."""
    if address in ("", "auto", "local"):
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError):
        raise UserError(
            f"--ray: nobody answers at RAY_ADDRESS, '{address}'; expected HOST:PORT of a cluster that has this machine"
        ) from None
