"""The page at `/` for people: what is wrong now, engines, GPUs, host and sources, in words.

The same documents that the JSON addresses give, and the frame that `/metrics` shows, written as
HTML when somebody asks. It refreshes itself and needs nothing from outside.
"""
