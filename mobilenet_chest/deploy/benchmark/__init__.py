"""Benchmarks: files of classifiers side by side, each answering in a process of its own."""
