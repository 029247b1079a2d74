"""The verb `export`: a finished run as a folder that Hugging Face `transformers` can load."""
