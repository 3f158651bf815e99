"""What caches that evict keys say of their length: positions and masks go by all tokens, not by those that are held."""

from __future__ import annotations

from transformers.cache_utils import CacheLayerMixin


class SeenTokens(CacheLayerMixin):  # type: ignore[misc]
    """A layer of such a cache.

    Attributes:
        seen: Tokens that the layer was given so far, evicted ones included.
    """

    seen: int

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(tokens so far and new, 0): masks speak of all tokens, also of those evicted."""
        return self.seen + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens seen, evicted ones included: what rotary positions go by."""
        return self.seen

    def get_max_length(self) -> int:
        """No limit."""
        return -1
