"""A plug-in of each kind, as docs/extending.md explains them."""
