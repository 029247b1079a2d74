"""Tables, one module per record. Their CSV holds every digit of the records."""
