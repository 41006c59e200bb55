"""How right the conclusions are: what `make evaluate` measures."""
