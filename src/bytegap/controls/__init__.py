"""The controls stage: what an order does to text, in numbers, beside every order that a study has."""
