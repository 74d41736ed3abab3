"""Recipes: data and names in YAML, run in stages to a verified bundle."""

from keras_s2s.recipe.run import export, run, train
from keras_s2s.recipe.schema import Recipe, RecipeConfig, load

__all__ = ["Recipe", "RecipeConfig", "export", "load", "run", "train"]
