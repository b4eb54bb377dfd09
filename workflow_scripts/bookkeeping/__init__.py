"""What the folder of results holds and what is still to be paid: for `price` and `stale`, never for a result."""
