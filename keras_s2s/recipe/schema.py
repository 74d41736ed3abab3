"""The keys of a recipe."""

import difflib
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from keras_s2s.bundle import Decoding, graph_name, steps_name, strategy_and_features, without_steps
from keras_s2s.config import Config
from keras_s2s.decoding import FEATURES, INPUTS, step_problems
from keras_s2s.evaluation import find_metric
from keras_s2s.export import OperatorSet
from keras_s2s.models import Architecture
from keras_s2s.recipe.data_schema import SPLITS, DataConfig, TokenizerConfig
from keras_s2s.recipe.tuning_schema import TuningConfig
from keras_s2s.search_options import STRATEGIES, no_strategy
from keras_s2s.training import TrainingConfig


class ExportConfig(Config):
    """The content of the bundle.

    Args:
        graphs: names of graphs, a strategy and its features, such as `beam-constrained`; with `.steps` behind one, its
            search a step at a time, too; none are those that `export_bundle` makes by itself.
        shortlist: whether a lexicon is learnt from the training data, with which graphs with the feature `shortlist`
            score only the ids that a source may become.
        operators: of the ONNX graphs: `onnxruntime` has fast ones of its own, `standard` is ONNX's alone.
        examples: so many short sources of the test data are in `bundle.json`, for the server's page to offer; 0 where
            nobody may see them.
    """

    graphs: tuple[str, ...] = ()
    shortlist: bool = False
    operators: OperatorSet = "onnxruntime"
    examples: NonNegativeInt = 5

    @field_validator("graphs")
    @classmethod
    def _known(cls, graphs: tuple[str, ...]) -> tuple[str, ...]:
        whole, stepwise = without_steps(graphs)
        for name in (*whole, *stepwise):
            _check_graph(name)
        for name in stepwise:
            _check_steps(name, whole)
        return graphs


class CombineConfig(Config):
    """Models that decode as one.

    Args:
        models: recipes, files beside this one, of models with the same tokenizers.
        weights: of the models, equal if not said.
        method: see `decoding.Ensemble`.
        language_model: the recipe of a language model with the same target tokenizer.
        language_model_weight: see `decoding.Fusion`.
    """

    models: tuple[str, ...] = Field(min_length=1)
    weights: tuple[PositiveFloat, ...] | None = None
    method: Literal["log-linear", "linear"] = "log-linear"
    language_model: str | None = None
    language_model_weight: NonNegativeFloat = 0.1

    @model_validator(mode="after")
    def _combines(self) -> Self:
        if len(self.models) == 1 and self.language_model is None:
            raise ValueError("one model and no language_model: there is nothing to combine")
        if self.weights is not None and len(self.weights) != len(self.models):
            raise ValueError(f"{len(self.models)} models and {len(self.weights)} weights; give each model one")
        return self


class BundleConfig(Config):
    """Keys that every recipe with a bundle has.

    Args:
        name: of the bundle, `saved_models/NAME`.
        task: a word for what the model does.
        decoding: the bundle's defaults; a language model has none.
        metrics: names of `evaluation.METRICS`; the first one chooses the model, among equals the next one, and then
            the later model is taken. A language model is chosen by its perplexity.
        max_source_tokens: longer sources are truncated or refused by the runtime.
        export: what is in the bundle.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$")
    task: str = Field(pattern=r"^\w+$")
    decoding: Decoding | None = None
    metrics: tuple[str, ...] = ()
    max_source_tokens: PositiveInt = 256
    export: ExportConfig = ExportConfig()

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            find_metric(name)
        return metrics

    @model_validator(mode="after")
    def _decodes(self) -> Self:
        graphs = self.export.graphs
        if self.decoding is not None and self.decoding.strategy not in STRATEGIES:
            raise ValueError(f"decoding.strategy: {no_strategy(self.decoding.strategy, STRATEGIES)}")
        if self.decoding is not None and graphs and self.graph not in graphs:
            raise ValueError(f"export.graphs: decoding needs '{self.graph}', which is not among {', '.join(graphs)}")
        return self

    @property
    def graph(self) -> str:
        """The graph that `decoding` needs."""
        assert self.decoding is not None
        return graph_name(self.decoding.strategy, self.decoding.features)


class RecipeConfig(BundleConfig):
    """A recipe: from data to a bundle, or to a language model.

    Args:
        data: the pairs.
        tokenizer: how text becomes ids.
        model: the architecture.
        training: how it is trained.
        tuning: which keys `keras-s2s tune` tries which values of.
    """

    data: DataConfig
    tokenizer: TokenizerConfig
    model: Architecture
    training: TrainingConfig
    tuning: TuningConfig | None = None

    @property
    def is_language_model(self) -> bool:
        """Whether the model has no sources."""
        return self.model.encoder is None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.is_language_model:
            _need("decoding", self.decoding)
            _need("metrics", self.metrics)
            _need("data.test", self.data.test)
            for name in SPLITS:
                if not all(files.reader.has_sources for files in self.data.split(name)):
                    raise ValueError(f"data.{name}: has targets alone, as for a language model; name the sources, too")
        elif self.metrics or self.decoding:
            raise ValueError("a language model is chosen by its perplexity; leave out 'metrics' and 'decoding'")
        return self

    @model_validator(mode="after")
    def _shares(self) -> Self:
        # Another recipe's tokenizers show when they are there.
        if self.model.share_embeddings and not (self.tokenizer.joint or self.tokenizer.same_as):
            raise ValueError("model.share_embeddings needs one vocabulary for both sides; say tokenizer.joint: true")
        return self


class CombinedConfig(BundleConfig):
    """A recipe whose model is made of other recipes' models; dev and test data are those of the first one.

    Args:
        combine: which, and how.
    """

    combine: CombineConfig

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        _need("decoding", self.decoding)
        _need("metrics", self.metrics)
        return self


class Recipe(Config):
    """A recipe and the file that it was read from."""

    path: Path
    config: RecipeConfig | CombinedConfig


def _need(key: str, value: object) -> None:
    if not value:
        raise ValueError(f"{key}: this key is required")


def _check_graph(name: str) -> None:
    strategy, features = strategy_and_features(name)
    for word, what, known in ((strategy, "strategy", INPUTS), *((f, "feature", FEATURES) for f in sorted(features))):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"graphs: {name}: unknown {what} '{word}'; {hint}")


def _check_steps(name: str, graphs: list[str]) -> None:
    found = step_problems(*strategy_and_features(name))
    if name not in graphs:
        found.append(f"needs the graph '{name}' beside it; name it, too")
    if found:
        raise ValueError(f"graphs: {steps_name(name)}: {'; '.join(found)}")
