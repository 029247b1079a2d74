"""Power analysis of a plan, before any compute is spent: what its fit finds in simulated studies of known laws."""
