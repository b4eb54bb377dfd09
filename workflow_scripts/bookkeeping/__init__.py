"""What lies in the folder of results and what is still to be paid: for `price` and `stale`, never for a result."""
