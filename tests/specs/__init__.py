"""Small OpenAPI documents for the tests of the generator, and what the tests do with them."""
