"""How much load a replica can carry, learned from its own page.

`learner.CapacityLearner` follows one replica; `estimate` holds what it says.
"""
