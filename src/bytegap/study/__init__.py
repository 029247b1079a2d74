"""A study: its configuration file, its plug-ins, its folder, and which of its arms are compared."""
