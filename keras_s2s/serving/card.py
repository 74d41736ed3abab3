"""What a client is told of a model."""

from typing import Any

from keras_s2s.serving.form import form_options
from keras_s2s.serving.loaded import Loaded

_LEFT_OUT = {"tokenizers", "graphs", "files", "steps", "shortlist", "schema_revision", "minimum_onnxruntime"}


def entry(loaded: Loaded) -> dict[str, Any]:
    """A model among others: its name, what it does, and how each of its graphs is decoded for several requests."""
    manifest = loaded.manifest
    return {
        "name": loaded.name,
        "task": manifest.task,
        "created": manifest.created,
        "precision": loaded.generator.precision,
        "graphs": {
            graph: "a step at a time" if loaded.has_steps(graph) else "whole requests, by length"
            for graph in loaded.generator.bundle.graphs(loaded.generator.precision)
            if "." not in graph
        },
        "decoding": manifest.decoding.model_dump(mode="json"),
        "limits": manifest.limits.model_dump(),
        "options": form_options(manifest, loaded.generator.precision),
    }


def card(loaded: Loaded) -> dict[str, Any]:
    """All of bundle.json that says something to a person, and `entry`."""
    return loaded.manifest.model_dump(mode="json", exclude=_LEFT_OUT) | entry(loaded)
