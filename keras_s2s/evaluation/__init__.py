"""Metrics of decoded text, a choice by them, tables for reports, pictures of attention.

Names are loaded when first used (PEP 562): sacrebleu, jiwer, rouge-score and matplotlib are imported only by who
needs them.
"""

import importlib
from typing import Any

_HOMES = {
    "Compared": "significance",
    "METRICS": "metrics",
    "Metric": "metric",
    "attention_picture": "pictures",
    "compare": "significance",
    "evaluate": "metrics",
    "find_metric": "metrics",
    "length_buckets": "lengths",
    "markdown_table": "tables",
    "minimum_bayes_risk": "mbr",
    "signatures": "metrics",
    "warn_of_missing_spaces": "spacing",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"keras_s2s.evaluation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'keras_s2s.evaluation' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
