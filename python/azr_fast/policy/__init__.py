"""The language model that learns: where its files come from, how it is prompted and updated."""
