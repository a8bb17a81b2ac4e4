"""The sandbox and the client, tested with programs that others wrote (`make interop`)."""
