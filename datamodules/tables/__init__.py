"""DataModule of tables of numbers and categories, with reader, schema and encoding."""
