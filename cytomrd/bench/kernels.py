"""What is measured: one entry a kernel, with our way, the peers' ways, and how their results are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from cytomrd.bench import ours, peers
from cytomrd.bench.agreement import (
    Agreement,
    as_good_a_map,
    as_near,
    close_columns,
    close_values,
    same_counts,
    same_members,
    same_rows,
)
from cytomrd.bench.events import FILE_KINDS, LOGICLE, Events
from cytomrd.preprocess.transforms import Asinh, Biexponential, Hyperlog

__all__ = ["KERNELS", "OURS", "Build", "Kernel"]

OURS = "cytomrd"
# Gets the events ready and returns the call that is timed. ImportError: this peer is not installed.
Build = Callable[[Events], Callable[[], object]]


@dataclass(frozen=True)
class Kernel:
    """One thing to be measured.

    Attributes
    ----------
    name, group
        What `--only` chooses by.
    bytes_per_event
        Bytes that go in: what GB/s are counted in.
    ours, variants
        Our way, and others of ours; all are compared with the first.
    peers
        Other people's ways, by implementation.
    limits
        What does less than we do, as a measure: its result is not compared.
    compare
        How our result and another's are compared.
    threaded
        Our way with a given number of threads. Without it each thread gets a part of the events.
    can_split
        Whether parts of the events can be given to threads.
    is_long
        It has the time of the whole pass, and its memory is not traced: that of the pass is measured in a process
        of its own.
    grows
        A result holds those of all calls so far, since each call draws anew.
    """

    name: str
    group: str
    bytes_per_event: int
    ours: Build
    peers: Mapping[str, Build]
    compare: Callable[[object, object], Agreement]
    variants: Mapping[str, Build] = field(default_factory=dict)
    limits: Mapping[str, Build] = field(default_factory=dict)
    threaded: Callable[[Events, int], Callable[[], object]] | None = None
    can_split: bool = True
    is_long: bool = False
    grows: bool = False


def _read(kind: str, byte_order: str) -> Kernel:
    def of(build) -> Build:
        return partial(build, kind=kind, byte_order=byte_order)

    bits = FILE_KINDS[kind][2]
    return Kernel(
        name=f"read_{kind}_{'be' if byte_order == '>' else 'le'}",
        group="read",
        bytes_per_event=14 * bits // 8,
        ours=of(ours.read),
        variants={f"{OURS}, memory used again": of(ours.read_again)},
        peers={
            "np.fromfile": of(peers.fromfile),
            "FlowIO": of(peers.flowio_read),
            "FlowKit": of(peers.flowkit_read),
        },
        compare=partial(same_rows, byte_order=byte_order),
        can_split=False,
    )


def _scale(name: str, transform, peer: Build, implementation: str, unit: float = 1.0) -> Kernel:
    return Kernel(
        name=name,
        group="scales",
        bytes_per_event=8,
        ours=partial(ours.scale, transform=transform),
        variants={f"{OURS}, exact": partial(ours.exact_scale, transform=transform)},
        peers={implementation: partial(peer, transform=transform)},
        compare=partial(close_values, allowed=1e-7, unit=unit),
    )


def _gate(name: str, bytes_per_event: int, way: Build, others: Mapping[str, Build]) -> Kernel:
    return Kernel(name, "gates", bytes_per_event, way, others, same_members)


KERNELS: tuple[Kernel, ...] = (
    *(_read(kind, byte_order) for kind in FILE_KINDS for byte_order in "<>"),
    Kernel("decode", "decode", 56, ours.decode, {"numpy": peers.numpy_decode}, partial(close_values, allowed=0.0),
           can_split=False),
    Kernel("compensate", "compensate", 80, ours.compensate, {"flowutils": peers.flowutils_compensate},
           partial(close_columns, allowed=1e-9, unit=262144.0)),
    _scale("logicle", LOGICLE, peers.flowutils_scale, "flowutils"),
    _scale("hyperlog", Hyperlog(), peers.flowutils_scale, "flowutils"),
    _scale("asinh", Asinh(), peers.flowutils_scale, "flowutils"),
    # its positions are channels, so an error is a share of them
    _scale("biexponential", Biexponential(), peers.flowkit_biexponential, "FlowKit", 4096.0),
    _gate("rectangle", 24, ours.rectangle, {"FlowKit": peers.flowkit_rectangle}),
    _gate("polygon", 16, ours.polygon, {"flowutils": peers.flowutils_polygon, "FlowKit": peers.flowkit_polygon}),
    _gate("ellipsoid", 24, ours.ellipsoid,
          {"flowutils": peers.flowutils_ellipsoid, "FlowKit": peers.flowkit_ellipsoid}),
    _gate("quadrant", 16, ours.quadrant, {"FlowKit": peers.flowkit_quadrant}),
    _gate("boolean", 3, ours.boolean, {"FlowKit": peers.flowkit_boolean}),
    Kernel("histogram_1d", "histograms", 8, ours.histogram_1d, {"numpy": peers.numpy_histogram_1d}, same_counts),
    Kernel("histogram_2d", "histograms", 16, ours.histogram_2d, {"numpy": peers.numpy_histogram_2d}, same_counts),
    Kernel("moments", "moments", 25, ours.moments, {"numpy": peers.numpy_moments}, partial(close_values, allowed=1e-9)),
    Kernel("pass", "pass", 56, ours.whole_pass, {"FlowKit": peers.flowkit_session}, same_counts,
           limits={"memcpy": peers.memcpy},
           threaded=ours.whole_pass, can_split=False, is_long=True),
    Kernel("som_online", "clustering", 80, ours.som_online, {"flowsom": peers.flowsom_som}, as_good_a_map,
           can_split=False, is_long=True, grows=True),
    Kernel("som_batch", "clustering", 80, ours.som_batch, {"flowsom": peers.flowsom_som}, as_good_a_map,
           threaded=ours.som_batch, can_split=False, is_long=True, grows=True),
    Kernel("map_events", "clustering", 80, ours.map_to_nodes,
           {"flowsom": peers.flowsom_map, "scikit-learn": peers.sklearn_map, "faiss": peers.faiss_map}, as_near,
           threaded=ours.map_to_nodes, can_split=False),
)  # fmt: skip
