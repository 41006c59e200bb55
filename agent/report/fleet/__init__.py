"""Reports over a fleet: from the sums that recording rules keep, by whoever can be asked."""
