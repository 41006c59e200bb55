"""Demand ahead: its season, its next minutes, its growth, and how much of that can be known yet."""
