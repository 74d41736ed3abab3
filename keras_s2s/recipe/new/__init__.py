"""A recipe for somebody's own pairs: look at them, choose, measure this machine, write."""

from keras_s2s.recipe.new.make import New, make

__all__ = ["New", "make"]
