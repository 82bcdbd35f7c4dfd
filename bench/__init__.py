"""Benchmarks: one module for each, with a ``typer.Typer()`` named ``app``; ``./vla bench NAME`` runs it.

A benchmark prints its figures and writes them as JSON where ``--json FILE`` says so. It compares two things that are measured
in turns within one run, and reports medians of at least five. What several of them need is in ``bench/support``.
"""
