"""The sandbox and the client, held against programs that others wrote (`make interop`)."""
