"""Recipes: data and names in YAML, run in stages to a verified bundle."""

from keras_s2s.recipe.read import load
from keras_s2s.recipe.run import export, run, train
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig

__all__ = ["CombinedConfig", "Recipe", "RecipeConfig", "export", "load", "run", "train"]
