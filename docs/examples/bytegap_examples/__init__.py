"""One part of each kind; docs/extending.md explains them."""
