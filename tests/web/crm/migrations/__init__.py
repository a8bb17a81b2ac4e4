"""The migrations, as `makemigrations` writes them."""
