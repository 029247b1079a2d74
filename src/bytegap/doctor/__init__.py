"""Look a study folder over: what is damaged, left over, unfinished or at odds, and what to do."""
