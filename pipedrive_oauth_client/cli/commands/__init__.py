"""The commands: their options and help, and what they print. Each module adds its own to an app."""
