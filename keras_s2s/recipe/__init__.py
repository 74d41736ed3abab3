"""Recipes: data and names in YAML, run in stages to a verified bundle."""

from keras_s2s.recipe.data_report import DataReport, prepare_data
from keras_s2s.recipe.prune import Pruned, Pruning, prune, prune_file
from keras_s2s.recipe.read import load
from keras_s2s.recipe.run import export, held_out_pairs, run, train, train_pairs
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig
from keras_s2s.recipe.trim import trim
from keras_s2s.recipe.tune import Tried, Tuned, tune

__all__ = [
    "CombinedConfig",
    "DataReport",
    "Pruned",
    "Pruning",
    "Recipe",
    "RecipeConfig",
    "Tried",
    "Tuned",
    "export",
    "held_out_pairs",
    "load",
    "prepare_data",
    "prune",
    "prune_file",
    "run",
    "train",
    "train_pairs",
    "trim",
    "tune",
]
