"""A small simulated run folder for tests: a marrow in two tubes, and a subject's blood with its control."""

from __future__ import annotations

import csv
from pathlib import Path

import cytomrd as cm
from cytomrd.simulate import CLONES, LAWS, Blood, draw_donor, simulate_blood, simulate_marrow_tube

COLUMNS = (
    "file", "sample_id", "subject_id", "visit", "day", "collected_at", "acquired_at", "matrix", "panel", "tube", "role",
    "beads_per_tube", "bead_lot", "sample_volume_ul", "wbc_10e9_per_l", "cbc_at",
)  # fmt: skip


def write_tube(path: Path, tube, keywords: dict[str, str] | None = None) -> None:
    """Write a simulated tube as the demo does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cm.write_fcs(
        path,
        tube.events,
        tube.detectors,
        markers=tube.markers,
        keywords=keywords,
        ranges=[tube.top] * len(tube.detectors),
        spillover=tube.spillover,
        timestep=tube.timestep_s,
    )


def write_samplesheet(folder: Path, rows: list[dict]) -> None:
    """Write rows under all columns that the tests use."""
    with (folder / "samplesheet.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_small_run(folder: Path) -> dict[str, dict]:
    """Write the run and return the truth by sample id."""
    law = LAWS["clinical"]
    donor = draw_donor(law, 11)
    truth, rows = {}, []
    n_clonal = n_nucleated = 0
    for number in ("1", "2"):
        tube = simulate_marrow_tube(
            law, donor, 60_000, 0.006, clone=CLONES["typical"], n_clonal=150, tube=number, random_state=20 + int(number)
        )
        write_tube(folder / f"BM_{number}.fcs", tube)
        rows.append({"file": f"BM_{number}.fcs", "sample_id": "BM", "subject_id": "S1", "day": 28, "matrix": "BM",
                     "panel": "euroflow-mm-mrd", "tube": number})  # fmt: skip
        n_clonal += tube.counts["clonal_plasma_cell"]
        n_nucleated += sum(n for k, n in tube.counts.items() if k not in ("dead", "debris", "doublet"))
    truth["BM"] = {"n_clonal": n_clonal, "n_nucleated": n_nucleated}
    for day, role, fraction in ((-1, "pre_infusion", 0.0), (1, "sample", 0.25), (14, "sample", 0.0)):
        blood = Blood(leukocytes_per_ul=2000, nk_fraction=0.25, car_nk_fraction=fraction)
        tube = simulate_blood(
            law, donor, blood, 50_000, beads_per_tube=50_000, sample_volume_ul=100, random_state=100 + day
        )
        name = f"PB{day}"
        write_tube(folder / f"{name}.fcs", tube)
        rows.append({"file": f"{name}.fcs", "sample_id": name, "subject_id": "S1", "day": day, "matrix": "PB",
                     "panel": "car-nk-bcma", "role": role, "beads_per_tube": 50_000, "bead_lot": "L1",
                     "sample_volume_ul": 100})  # fmt: skip
        per_event = 50_000 / max(tube.counts["bead"], 1) / 100
        truth[name] = {"car_nk_per_ul": tube.counts["car_nk"] * per_event, "n_car_nk": tube.counts["car_nk"]}
    write_samplesheet(folder, rows)
    return truth


def write_marrow_run(folder: Path, n_events: int = 30_000) -> None:
    """A run of one marrow in two tubes, with a stretch in the first that time QC takes out."""
    law = LAWS["clinical"]
    donor = draw_donor(law, 11)
    rows = []
    for number in ("1", "2"):
        tube = simulate_marrow_tube(
            law, donor, n_events, 0.01, clone=CLONES["typical"], n_clonal=90, tube=number, random_state=40 + int(number)
        )
        write_tube(folder / f"BM_{number}.fcs", tube)
        rows.append({"file": f"BM_{number}.fcs", "sample_id": "BM", "subject_id": "S1", "day": 28, "matrix": "BM",
                     "panel": "euroflow-mm-mrd", "tube": number})  # fmt: skip
    write_samplesheet(folder, rows)
    (folder / "run.toml").write_text("gate_draws = 4\n", "utf-8")


def blas_threads(_) -> list[int]:
    """How many threads linear algebra has, here or in a worker."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def write_twelve(folder: Path, n_events: int = 4_000) -> None:
    """A run of twelve small samples: six marrows, one of them a blank, and six bloods of two subjects."""
    law = LAWS["clinical"]
    donor = draw_donor(law, 11)
    rows = []
    for i in range(6):
        tube = simulate_marrow_tube(
            law, donor, n_events, 0.02, clone=CLONES["typical"], n_clonal=30 * (i > 0), tube="2", random_state=i
        )
        write_tube(folder / f"BM{i}.fcs", tube)
        role = "sample" if i else "negative"
        rows.append({"file": f"BM{i}.fcs", "sample_id": f"BM{i}", "subject_id": f"S{i % 2}", "day": 28 * i,
                     "matrix": "BM", "panel": "euroflow-mm-mrd", "tube": "2", "role": role})  # fmt: skip
    for i in range(6):
        role, fraction = ("pre_infusion", 0.0) if i < 2 else ("sample", 0.2)
        blood = Blood(leukocytes_per_ul=2000, nk_fraction=0.25, car_nk_fraction=fraction)
        tube = simulate_blood(
            law, donor, blood, n_events, beads_per_tube=50_000, sample_volume_ul=100, random_state=100 + i
        )
        write_tube(folder / f"PB{i}.fcs", tube)
        rows.append({"file": f"PB{i}.fcs", "sample_id": f"PB{i}", "subject_id": f"S{i % 2}", "day": 14 * (i // 2) - 1,
                     "matrix": "PB", "panel": "car-nk-bcma", "role": role, "beads_per_tube": 50_000,
                     "bead_lot": "L1", "sample_volume_ul": 100})  # fmt: skip
    write_samplesheet(folder, rows)
