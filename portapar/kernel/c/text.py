"""Expressions as text: how they are parenthesized."""

from __future__ import annotations

_DEEP = 16  # compilers have limits, the lowest that we know is 256


def enclosed(text: str) -> bool:
    """Whether one pair of parentheses encloses the whole text."""
    depth = 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return text[0] == "(" and place == len(text) - 1
    return False


def deep(text: str) -> bool:
    """Whether an expression has so many parentheses inside of each other that it should not go into another one."""
    depth = most = 0
    if len(text) > 4 * _DEEP:
        for letter in text:
            depth += {"(": 1, ")": -1}.get(letter, 0)
            most = max(most, depth)
    return most > _DEEP
