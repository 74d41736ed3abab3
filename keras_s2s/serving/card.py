"""The card of a model, for clients."""

from typing import Any

from keras_s2s.serving.form import form_options
from keras_s2s.serving.served_model import ServedModel

_LEFT_OUT = {"tokenizers", "graphs", "files", "steps", "shortlist", "schema_revision", "minimum_onnxruntime"}


def entry(model: ServedModel) -> dict[str, Any]:
    """A model among others: its name, what it does, and when a stream shows what each of its graphs writes."""
    manifest = model.manifest
    return {
        "name": model.name,
        "task": manifest.task,
        "created": manifest.created,
        "precision": model.generator.precision,
        "graphs": {
            graph: "as it is written" if model.has_steps(graph) else "when it is done"
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
