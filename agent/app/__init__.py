"""The composition root: the only package that names collectors and exporters.

It loads nothing of itself: a command pays for what it uses.
"""
