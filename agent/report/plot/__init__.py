"""Plots as SVG text: axes, lines, bands, points and cells, and nothing that a browser must run."""
