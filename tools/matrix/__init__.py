"""The tests on every supported Python, with the oldest and the newest packages that are allowed."""
