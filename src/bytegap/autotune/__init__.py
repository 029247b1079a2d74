"""Chooses how a plan's runs are executed on this machine, by benchmarking their training steps."""
