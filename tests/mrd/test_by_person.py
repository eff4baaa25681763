"""A person's call on a cluster, in the place of the rule's."""

from __future__ import annotations

import numpy as np
from simulated_plasma import SPEC, TUNED, simulate

from cytomrd.mrd.by_person import clusters_of_events, count_with_calls
from cytomrd.mrd.clonality import count_clones, judge_cells


def test_cells_that_stray_go_where_their_cluster_is_called():
    cells, _ = simulate({law.name: law for law in TUNED}["plain"], 5, n_normal=2_500, n_clonal=800, clone="typical")
    judged = judge_cells(cells, SPEC)
    clones = {k: "normal" for k, v in enumerate(judged.verdicts) if v.call == "clonal" and not v.stray}
    assert any(v.stray for v in judged.verdicts)
    assert sum(int((label > 0).sum()) for label in count_clones(judged).labels) > 100
    assert not any((label > 0).any() for label in count_with_calls(judged, clones).labels)
    strays = [k for k, v in enumerate(judged.verdicts) if v.stray]
    assert not any(np.isin(found, strays).any() for found in clusters_of_events(judged))
