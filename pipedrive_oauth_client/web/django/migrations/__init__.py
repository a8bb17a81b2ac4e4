"""How the table has come about."""
