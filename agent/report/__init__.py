"""What planners read: how much a host carried, how much it could, and what to do about it.

Everything is asked of the history in selectors of PromQL, put on a grid of cells (five minutes, and
one minute where every sample is kept) and reckoned from there. What is not known is NaN in a column
and null in the document, never zero. Runs in a process of its own, never on the loop of the agent.
"""
