"""The verb `generate`: text from a model."""
