"""Every file bytegap writes, as a typed record."""
