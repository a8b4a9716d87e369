"""Judge many captures: here, in several processes, or on many machines."""
