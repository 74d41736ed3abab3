"""Conformance checks for pieces of your own: cells, mixers, number formats and others."""
