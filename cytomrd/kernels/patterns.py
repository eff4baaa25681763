"""Membership patterns: which populations an event is in, as bits, and the code of each distinct pattern."""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["assign_codes", "pack_members", "relabel"]

MIX = np.uint64(0x9E3779B97F4A7C15)


@kernel
def pack_members(members, n, words):
    """Members uint8 (n_populations, >= n) as bits of words uint64 (n_words, >= n): p is bit p % 64 of word p // 64."""
    words[:, :n] = np.uint64(0)
    for p in range(members.shape[0]):
        row = members[p]
        word = words[p // 64]
        shift = np.uint64(p % 64)
        for e in range(n):
            word[e] |= np.uint64(row[e]) << shift


@kernel
def assign_codes(words, start, n, patterns, slots, n_patterns, counts, codes):
    """Codes uint32 (n,) of events start..n-1 in order of first sight; stops early when patterns is full.

    words uint64 (n_words, >= n); patterns uint64 (n_words, capacity); slots int64 (a power of two above
    capacity, -1 = free); counts int64 (capacity,). Returns (n_patterns, first event not done).
    """
    n_words = words.shape[0]
    mask = np.uint64(slots.size - 1)
    first_word, first_bits = words[0], patterns[0]
    # All in one loop: a function call for each event, with these arrays, would cost ten times as much.
    for e in range(start, n):
        mixed = first_word[e] * MIX
        mixed ^= mixed >> np.uint64(29)
        for w in range(1, n_words):
            mixed = (mixed ^ words[w, e]) * MIX
            mixed ^= mixed >> np.uint64(29)
        slot = mixed & mask
        code = slots[slot]
        while code >= 0:
            same = first_bits[code] == first_word[e]
            for w in range(1, n_words):
                same &= patterns[w, code] == words[w, e]
            if same:
                break
            slot = (slot + np.uint64(1)) & mask
            code = slots[slot]
        if code < 0:
            if n_patterns == patterns.shape[1]:
                return n_patterns, e
            code = n_patterns
            slots[slot] = code
            for w in range(n_words):
                patterns[w, code] = words[w, e]
            n_patterns += 1
        counts[code] += 1
        codes[e] = code
    return n_patterns, n


@kernel
def relabel(codes, new):
    """Replace every code of codes uint32 (n,) by new[code], new uint32 (n_patterns,)."""
    for e in range(codes.size):
        codes[e] = new[codes[e]]
