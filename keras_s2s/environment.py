"""Sets environment variables that other libraries read when they are imported, unless the user has set them."""

import os
import re
import sys
import warnings

from keras_s2s.cores import available_cores, is_limited

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_TELEMETRY = "ORT_DISABLE_TELEMETRY"
_FIRST_WITH_TELEMETRY = 1, 29
_NO_USAGE_DATA = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
THREADS = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"


def prepare() -> None:
    """Sets the variables, and warns of a library that was imported too early to read one."""
    _choose_onednn()
    _choose_threads()
    _refuse_usage_data()


def _choose_onednn() -> None:
    """Asks TensorFlow for oneDNN's operators.

    TensorFlow reads the choice when it is imported. Of itself it goes without them on an x86 without VNNI, where a step
    of training takes a sixth less time with them.
    """
    if _ONEDNN in os.environ:
        return
    os.environ[_ONEDNN] = "1"
    port = sys.modules.get("tensorflow.python.util._pywrap_util_port")
    if port is not None and not port.IsMklEnabled():
        _warn(
            "TensorFlow was imported before keras_s2s and goes without oneDNN's operators, so that training is slower; "
            f"import keras_s2s first, or set {_ONEDNN}=1"
        )


def _choose_threads() -> None:
    """Gives TensorFlow no more threads than a quota of processor time is worth.

    TensorFlow counts the cores that it may run on, and its threads would use up the quota and then all stand still.
    """
    if is_limited():
        for name in THREADS:
            os.environ.setdefault(name, str(available_cores()))


def _refuse_usage_data() -> None:
    """Tells libraries to send nothing about who uses them.

    onnxruntime 1.29 and later makes a device id and a store of events below HOME's cache as soon as it is imported, and
    sends what it stores to its maker.
    """
    for name, value in _NO_USAGE_DATA.items():
        os.environ.setdefault(name, value)
    if _TELEMETRY in os.environ:
        return
    os.environ[_TELEMETRY] = "1"
    onnxruntime = sys.modules.get("onnxruntime")
    if onnxruntime is not None and sends_usage_data(onnxruntime.__version__):
        _warn(
            f"onnxruntime {onnxruntime.__version__} was imported before keras_s2s and sends usage data; "
            f"import keras_s2s first, or set {_TELEMETRY}=1"
        )


def sends_usage_data(version: str) -> bool:
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= _FIRST_WITH_TELEMETRY


def _warn(message: str) -> None:
    """Warns where this package is imported: behind this function, the one that calls it, `prepare` and the package."""
    warnings.warn(message, RuntimeWarning, stacklevel=5)
