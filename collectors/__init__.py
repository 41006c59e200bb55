"""Where samples come from: one file, one source."""
