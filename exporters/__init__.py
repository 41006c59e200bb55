"""Where samples go: one file, one destination."""
