"""Whom a message calls by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ddcolor_operations.notifier.settings import Section


@dataclass(frozen=True, slots=True)
class Mention:
    """The people of one chat: ids as the chat knows them, mobile numbers, or everybody."""

    users: tuple[str, ...] = ()
    mobiles: tuple[str, ...] = ()
    everybody: bool = False

    @classmethod
    def from_section(cls, section: Section) -> Mention:
        """Read ``users``, ``mobiles`` and ``all``."""
        return cls(
            users=section.texts("users"),
            mobiles=section.texts("mobiles"),
            everybody=section.boolean("all", default=False),
        )

    def __bool__(self) -> bool:
        return bool(self.users or self.mobiles or self.everybody)

    @classmethod
    def union(cls, mentions: Iterable[Mention]) -> Mention:
        """Return everybody of ``mentions``, each once, in their order."""
        users: dict[str, None] = {}
        mobiles: dict[str, None] = {}
        everybody = False
        for mention in mentions:
            users |= dict.fromkeys(mention.users)
            mobiles |= dict.fromkeys(mention.mobiles)
            everybody = everybody or mention.everybody
        return cls(tuple(users), tuple(mobiles), everybody)
