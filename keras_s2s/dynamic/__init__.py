"""Exact dynamic programming: pure functions of scores, in which padding is neutral already."""
