"""Coverage-guided fuzzing of the FCS reader with atheris.

    python benchmarks/fuzz_fcs.py --inputs 2000000 --jobs 2
    python benchmarks/fuzz_fcs.py --report

Each input is written to a file, opened and read. It is a failure if anything but an `FcsError` comes out, if a read
takes more than 2 s of processor time or memory jumps, if the two ways of reading or the compiled and the plain
kernels differ, or if the numbers change when only bytes behind the data are added. A failure is kept, with its
traceback, in ``<work>/<job>/failures`` and the run goes on. Counts add up over the jobs and the runs of one state of
the code: a committed tree, whose hash the report names. Another state needs another ``--work``.

``pip install atheris`` first; it is no dependency of the project.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

MAX_SECONDS = 2.0
MAX_JUMP = 64 << 20  # bytes of resident memory by one input, for files of a few kilobytes
CHECKPOINT = 2000
DICTIONARY = """
$TOT $PAR $MODE $BYTEORD $DATATYPE $NEXTDATA $BEGINDATA $ENDDATA $BEGINSTEXT $ENDSTEXT $BEGINANALYSIS $TIMESTEP
$P1B $P1R $P1E $P1G $P1N $P2B $P2R $P2E $P2DATATYPE $P1TYPE SPILL $SPILLOVER 1,2,3,4 4,3,2,1 3,4,1,2 0,0 4,1 4,0
FCS2.0 FCS3.0 FCS3.1 FCS3.2 1024 262144 4294967296 1e400 nan -1 TIME 16 24 10 64
"""


class Run:
    """Counts of a fuzzing run, its failures, and the check that each input goes through."""

    def __init__(self, work: Path, limit: int, state: str):
        self.failures = work / "failures"
        self.failures.mkdir(parents=True, exist_ok=True)
        self.counts_file = work / "counts.json"
        self.counts = {"inputs": 0, "opened": 0, "refused": 0, "failed": 0, "compared": 0, "padded": 0}
        self.counts["state"] = state
        if self.counts_file.exists():
            before = json.loads(self.counts_file.read_text())
            if before["state"] != state:
                raise SystemExit(
                    f"{work} holds counts of {before['state']}, the code is {state}: choose another --work"
                )
            self.counts = before
        self.stop_at = self.counts["inputs"] + limit
        self.slowest = 0.0
        self.path = Path("/dev/shm" if Path("/dev/shm").is_dir() else work, f"fuzz_{os.getpid()}.fcs")

    def warm_up(self, folder: Path) -> None:
        """Read all seeds by all ways, so that loading and compiling kernels is not counted as reading."""
        for path in sorted(folder.iterdir()):
            values = self._read(path.read_bytes())
            if values is not None:
                self._compare_ways(values)

    def one_input(self, data: bytes) -> None:
        """Check one input; called by libFuzzer."""
        self.counts["inputs"] += 1
        started, memory = time.process_time(), _peak_memory()
        try:
            self._check(data)
        except Exception as error:
            self._keep(data, error)
        seconds = time.process_time() - started
        self.slowest = max(self.slowest, seconds)
        if seconds > MAX_SECONDS:
            self._keep(data, TimeoutError(f"{seconds:.1f} s"))
        if _peak_memory() - memory > max(MAX_JUMP, 3 * len(data)) and self.counts["inputs"] > CHECKPOINT:
            self._keep(data, MemoryError(f"{(_peak_memory() - memory) >> 20} MB more"))
        if self.counts["inputs"] % CHECKPOINT == 0:
            self._save()

    def _check(self, data: bytes) -> None:
        values = self._read(data)
        if values is None:
            self.counts["refused"] += 1
            return
        self.counts["opened"] += 1
        if self.counts["opened"] % 4 == 0:
            self.counts["compared"] += 1
            self._compare_ways(values)
        if self.counts["opened"] % 4 == 1:
            self.counts["padded"] += 1
            for tail in (b" " * 7, b"\0" * 3, b"00000000"):
                again = self._read(data + tail)
                assert again is None or np.array_equal(values, again, equal_nan=True), "padding changed the numbers"

    def _read(self, data: bytes) -> np.ndarray | None:
        """All values; None where the file is refused with a keyword and a place."""
        self.path.write_bytes(data)
        try:
            tube = self.open_fcs(self.path)
            values = tube.read_events()
        except self.FcsError as error:
            assert error.keyword, "a refusal without keyword"
            assert error.byte_offset is not None, f"a refusal without byte offset: {error}"
            assert str(error).isprintable() or "\n" in str(error), "a refusal that is not safe to print"
            return None
        assert values.shape == (tube.n_events, len(tube.channels))
        assert values.nbytes <= 64 * len(data) + 64, "more values than the file can hold"
        with suppress(self.CompensationError):
            _ = tube.spillover
        return values

    def _compare_ways(self, values: np.ndarray) -> None:
        """Blocks by compiled kernels against rows by plain ones."""
        tube = self.open_fcs(self.path)
        small, self.decoding.SMALL_READ = self.decoding.SMALL_READ, -1
        try:
            blocks = [block.T.copy() for _, block in tube.blocks(3)]
            native = tube.read_events(dtype=tube.native_dtype)
        finally:
            self.decoding.SMALL_READ = small
        blocks = np.concatenate([np.empty((0, values.shape[1])), *blocks])
        assert np.array_equal(values, blocks, equal_nan=True), "blocks and rows differ"
        with np.errstate(invalid="ignore"):  # signalling NaN
            native = native.astype(np.float64)
        assert np.array_equal(values, native, equal_nan=True), "native rows differ"

    def _keep(self, data: bytes, error: Exception) -> None:
        """Save an input and its traceback, one for each place in the code that fails."""
        self.counts["failed"] += 1
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{type(error).__name__}-{frames[-1].lineno if frames else 0}-{str(error)[:40]}"
        name = hashlib.sha256(place.encode()).hexdigest()[:12]
        if not (self.failures / f"{name}.fcs").exists():
            (self.failures / f"{name}.fcs").write_bytes(data)
            (self.failures / f"{name}.txt").write_text("".join(traceback.format_exception(error)))

    def _save(self) -> None:
        self.counts["slowest_s"] = round(max(self.slowest, self.counts.get("slowest_s", 0)), 3)
        self.counts["peak_mb"] = _peak_memory() >> 20
        self.counts_file.write_text(json.dumps(self.counts))
        if self.counts["inputs"] >= self.stop_at:
            self.path.unlink(missing_ok=True)
            sys.stdout.flush()
            os._exit(0)  # libFuzzer has no other way out


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def write_seeds(folder: Path) -> None:
    """Small sound files of every kind, and the nasty files where they are."""
    from naive_fcs import build_fcs, channel_keywords, float_file

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    seeds = {"float": float_file(rng.normal(1000, 300, (5, 2))), "spill": None}
    seeds["spill"] = float_file(rng.normal(9, 3, (5, 2)), keywords={"SPILL": "2,C1,C2,1,0.1,0,1", "$P1G": "2"})
    kinds = [((16, 16), "I"), ((24, 24), "I"), ((32, 32), "I"), ((10, 16), "I"), ((8, 24), "I"), ((64, 64), "I")]
    for bits, kind in kinds:
        for order in ("1,2,3,4", "4,3,2,1"):
            rows = rng.bytes(5 * sum(-(-b // 8) for b in bits))
            keywords = channel_keywords(
                bits, (1024, 2 ** bits[1]), n_events=5, datatype=kind, byte_order=order, amplification=["4,1", "0,0"]
            )
            seeds[f"{kind}{bits[0]}_{bits[1]}_{order[0]}"] = build_fcs(rows, keywords, text_begin=58)
    text = channel_keywords([0, 0], [1024] * 2, n_events=3, datatype="A", byte_order="1,2,3,4")
    seeds["ascii"] = build_fcs(b"1 20 300 4 5 6", text, text_begin=58)
    mixed = channel_keywords(
        [32, 16, 64], [1024] * 3, n_events=4, datatype="F", byte_order="1,2,3,4", types=["F", "I", "D"]
    )
    seeds["mixed"] = build_fcs(rng.integers(0, 64, 56, dtype=np.uint8).tobytes(), mixed, version="FCS3.2")
    for name, data in seeds.items():
        (folder / f"{name}.fcs").write_bytes(data)
    nasty = ROOT.parent / "shared" / "data" / "nasty-fcs"
    for path in nasty.glob("*.fcs"):
        (folder / path.name).write_bytes(path.read_bytes())


def main() -> None:
    """Fuzz for a number of inputs; libFuzzer's own options may follow ``--``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=2_000_000)
    parser.add_argument("--work", type=Path, default=Path("/tmp/cytomrd_fuzz"))
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the inputs")
    parser.add_argument("--job", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--report", action="store_true", help="write the counts so far into README.md and stop")
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    if options.report:
        report(options.work)
        return
    if options.job is None:
        arguments = ["--work", options.work, "--inputs", -(-options.inputs // options.jobs), *options.rest]
        jobs = [
            subprocess.Popen([sys.executable, __file__, *map(str, arguments), "--job", str(i)])
            for i in range(options.jobs)
        ]
        raise SystemExit(max([job.wait() for job in jobs]))
    fuzz(options.work / str(options.job), options.inputs, options.rest)


def fuzz(work: Path, n_inputs: int, rest: list[str]) -> None:
    """One process's share."""
    import atheris

    with atheris.instrument_imports(include=["cytomrd.fcs", "cytomrd.preprocess.compensation"]):
        from cytomrd.errors import CompensationError, FcsError
        from cytomrd.fcs import data as decoding
        from cytomrd.fcs.dataset import open_fcs

    run = Run(work, n_inputs, state_of_code())
    run.open_fcs, run.FcsError, run.CompensationError, run.decoding = open_fcs, FcsError, CompensationError, decoding
    write_seeds(work / "corpus")
    run.warm_up(work / "corpus")
    words = work / "words.dict"
    words.write_text("".join(f'"{word}"\n' for word in DICTIONARY.split()))
    limits = ["-max_len=3000", "-timeout=60", "-rss_limit_mb=0", "-verbosity=0"]
    files = [f"-dict={words}", f"-artifact_prefix={work}/", str(work / "corpus")]
    atheris.Setup([sys.argv[0], *limits, *rest, *files], run.one_input)
    atheris.Fuzz()


def state_of_code() -> str:
    """The commit of the tree that is tested, and whether the package differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short=10", "HEAD") or "no commit"
    return f"commit {commit}" + (" with changes" if git("status", "--porcelain", "cytomrd") else "")


def report(work: Path) -> None:
    """Write the counts so far into README.md."""
    from common import setting, table, write_section

    jobs = [json.loads(path.read_text()) for path in work.glob("*/counts.json")]
    states = {job["state"] for job in jobs}
    if len(states) != 1:
        raise SystemExit(f"{work}: counts of one state of the code are wanted, there are {sorted(states)}")
    counts = {key: sum(job[key] for job in jobs) for key in jobs[0] if key != "state"}
    counts["slowest_s"] = max(job["slowest_s"] for job in jobs)
    names = {
        "inputs": "inputs",
        "refused": "refused by FcsError, with keyword and place",
        "opened": "opened and read",
        "compared": "of these read by all ways and types, equal",
        "padded": "of these read again with bytes added behind the data, equal or refused",
        "failed": "failures: another exception, other numbers, over 2 s, over 64 MB",
        "slowest_s": "slowest input (s of processor time)",
    }
    rows = [(text, counts[key]) for key, text in names.items()]
    write_section(
        "Fuzzing the FCS reader",
        f"`python benchmarks/fuzz_fcs.py --inputs 2000000 --jobs 2`, then `--report`, on {states.pop()}: "
        "coverage-guided inputs (libFuzzer through atheris), from small sound files of every kind and the nasty "
        "files.\n"
        f"{setting('atheris', 'numpy')}\n\n"
        f"{table(('', 'count'), rows)}",
    )


if __name__ == "__main__":
    main()
