"""Tests that every store has to pass; a store of your own, too.

    from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance

    class TestMyStore(TokenStoreConformance):  # and LeaseConformance, if its locks can be lost
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda **settings: MyStore(tmp_path / "tokens", **settings)

`open_store` gives another handle on the same place at each call, as another process would have it.
Only `LeaseConformance` passes settings: `lease` and `wait`, as timedeltas. pytest is needed.
"""

from pipedrive_oauth_client.stores.conformance.every_store import TokenStoreConformance
from pipedrive_oauth_client.stores.conformance.leased_store import LeaseConformance

__all__ = ["LeaseConformance", "TokenStoreConformance"]
