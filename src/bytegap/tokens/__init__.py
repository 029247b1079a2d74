"""Symbol sets, one file a kind, and the training text as symbols.

A kind offers `Options`, `fingerprint(options) -> str`, the SHA-256 of a given vocabulary file or "",
`prepare(options, training_documents, folder) -> Tokenizer`, which leaves all it needs in `folder`, and
`reopen(folder) -> Tokenizer`, which reads it back.
"""
