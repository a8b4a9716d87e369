"""Many captures: in batches, in several processes, on many machines."""
