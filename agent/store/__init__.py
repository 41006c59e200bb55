"""The embedded history: the last minutes in memory, the last months in one SQLite file."""
