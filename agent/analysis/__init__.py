"""What follows from the samples: arithmetic over frames, no I/O, no clock."""
