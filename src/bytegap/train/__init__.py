"""Train one run: a single loop for every arm, since what differs between arms is in their parts."""
