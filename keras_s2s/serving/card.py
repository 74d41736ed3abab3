"""The card of a model, for clients."""

from typing import Any

from keras_s2s.serving.form import form_options
from keras_s2s.serving.served_model import ServedModel

_LEFT_OUT = {"tokenizers", "graphs", "files", "steps", "shortlist", "schema_revision", "minimum_onnxruntime"}


def entry(model: ServedModel) -> dict[str, Any]:
    """A model among others: its name, what it does, and how each of its graphs is decoded for several requests."""
    manifest = model.manifest
    return {
        "name": model.name,
        "task": manifest.task,
        "created": manifest.created,
        "precision": model.generator.precision,
        "graphs": {
            graph: "a step at a time" if model.has_steps(graph) else "whole requests, by length"
            for graph in model.generator.bundle.graphs(model.generator.precision)
            if "." not in graph
        },
        "decoding": manifest.decoding.model_dump(mode="json"),
        "limits": manifest.limits.model_dump(),
        "options": form_options(manifest, model.generator.precision),
    }


def card(model: ServedModel) -> dict[str, Any]:
    """All of bundle.json that says something to a person, and `entry`."""
    return model.manifest.model_dump(mode="json", exclude=_LEFT_OUT) | entry(model)
