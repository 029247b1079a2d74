"""The tuning audit: estimates what the shared rule for learning rate and batch size costs each arm."""
