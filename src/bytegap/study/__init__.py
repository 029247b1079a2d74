"""A study: its configuration file, its plug-ins, and its folder."""
