"""Slow oracles of the self-organising map: one event and one node at a time."""

from __future__ import annotations

import numpy as np


def nearest_node(event, nodes) -> tuple[int, float]:
    """Nearest node in float64, lowest index of equals, and its distance; (-1, NaN) for an event that is not finite."""
    if not all(np.isfinite(float(v)) for v in event):
        return -1, float("nan")
    best, least = 0, float("inf")
    for k, node in enumerate(nodes):
        total = 0.0
        for value, place in zip(event, node, strict=True):
            apart = float(value) - float(place)
            total += apart * apart
        if total < least:
            best, least = k, total
    return best, float(np.sqrt(least))


def nearest_nodes(events, nodes) -> tuple[list[int], list[float]]:
    """``nearest_node`` of every event."""
    found = [nearest_node(event, nodes) for event in events]
    return [k for k, _ in found], [d for _, d in found]


def grid_distance(i: int, k: int, n_columns: int) -> int:
    """Steps from one node of the grid to another; a diagonal step is one."""
    return max(abs(i // n_columns - k // n_columns), abs(i % n_columns - k % n_columns))


def train_online(nodes, events, grid, radii, rates) -> np.ndarray:
    """FlowSOM's rule in float32: ``events`` in the order drawn, radius and rate falling from the first step on."""
    nodes = np.array(nodes, dtype=np.float32)
    events = np.asarray(events, dtype=np.float32)
    total = len(events)
    for step, event in enumerate(events):
        squares = []
        for node in nodes:
            square = np.float32(0.0)
            for value, place in zip(event, node, strict=True):
                square += (value - place) * (value - place)
            squares.append(square)
        nearest = squares.index(min(squares))
        radius = radii[0] - (radii[0] - radii[1]) * (step / total)
        rate = np.float32(rates[0] - (rates[0] - rates[1]) * (step / total))
        for k in range(len(nodes)):
            if grid_distance(nearest, k, grid[1]) <= (radius if radius >= 1 else 0):
                nodes[k] += (event - nodes[k]) * rate
    return nodes


def move_nodes(nodes, events, grid, radius, rate) -> np.ndarray:
    """One step of the batch rule."""
    nearest = [nearest_node(event, nodes)[0] for event in events]
    moved = np.array(nodes, dtype=np.float64)
    for k in range(len(nodes)):
        drawn = [e for e, i in zip(events, nearest, strict=True) if i >= 0 and grid_distance(i, k, grid[1]) <= radius]
        if drawn:
            moved[k] += (np.mean(drawn, axis=0) - moved[k]) * (1.0 - (1.0 - rate) ** len(drawn))
    return moved
