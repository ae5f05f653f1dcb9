"""Tokens that were verified, by the header that they came in: the next request with one costs a
look-up instead of a signature."""

from __future__ import annotations

from collections import OrderedDict

from services.shared.auth.tokens import Verified


class Memory:
    """At most `most`; the one that was used longest ago goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tokens: OrderedDict[bytes, Verified] = OrderedDict()

    def find(self, header: bytes) -> Verified | None:
        """What was found out about it, unless the key that signed it is published no more."""
        found = self._tokens.get(header)
        if found is None:
            return None
        if found.key.gone:
            del self._tokens[header]
            return None
        self._tokens.move_to_end(header)
        return found

    def keep(self, header: bytes, token: Verified) -> None:
        self._tokens[header] = token
        if len(self._tokens) > self._most:
            self._tokens.popitem(last=False)

    def forget(self, header: bytes) -> None:
        """It is over, or there is none."""
        self._tokens.pop(header, None)

    def __len__(self) -> int:
        return len(self._tokens)
