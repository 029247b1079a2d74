"""Where text comes from, one file a source, and how it is split by document into train, validation and test.

A source offers `Options`, `fingerprint(options) -> str`, a cheap identity of its input, and
`documents(options) -> Iterator[bytes]`, the raw bytes of each document, in any order.
"""
