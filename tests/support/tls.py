"""One TLS context for all clients of the tests."""

from __future__ import annotations

import ssl
from typing import Final

# It trusts nobody, and nothing here needs it to. Loading the machine's certificates for each
# client would take most of the suite's time.
UNTRUSTING: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
