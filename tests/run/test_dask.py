"""A Dask cluster really started: the bytes of a local run, also where a worker is killed; a poisoned task is boxed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cytomrd.errors import RunError
from cytomrd.run.dask_pool import DaskPool, _result, check_address
from cytomrd.run.workers import Failed, Task, run_tasks

distributed = pytest.importorskip("distributed")
Security = distributed.security.Security


def test_only_what_stays_here_or_is_encrypted_is_spoken_to():
    for good in ("127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786", "tls://scheduler.lab:8786"):
        assert check_address(good).endswith(":8786")
    for bad in ("scheduler.lab:8786", "tcp://10.0.0.5:8786", "ws://127.0.0.1:1", "tcp://127.0.0.1.evil.org:8786", "x"):
        with pytest.raises(RunError, match="TLS"):
            check_address(bad)


def test_a_result_that_died_with_its_worker_is_not_waited_for():
    class Finished:
        def done(self):
            return True

        def result(self, timeout):
            raise TimeoutError

        def cancel(self):
            pass

    assert isinstance(_result(Finished(), "tcp://127.0.0.1:1", lambda worker: False), Failed)


@contextlib.contextmanager
def started_cluster(folder: Path, *options: str, security: Security | None = None, **environment: str):
    """A scheduler and two workers, each a process, on this machine alone; their address."""
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    log = (folder / "log").open("w")
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "False", **environment}

    def start(module: str, *options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", module, *common, *options]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)

    processes = [start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *options)]
    worker = ("--nthreads", "1", "--nworkers", "1", "--host", "127.0.0.1", "--local-directory", str(folder))
    processes += [start("distributed.cli.dask_worker", *worker) for _ in range(2)]
    try:
        while not file.exists() or not file.stat().st_size:
            assert processes[0].poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address, security=security, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
        yield address
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of this machine's own, without encryption."""
    with started_cluster(tmp_path_factory.mktemp("dask")) as address:
        yield address


def worker_pids(address: str) -> list[int]:
    with distributed.Client(address, set_as_default=False) as client:
        return sorted(client.run(os.getpid).values())


@pytest.mark.slow
def test_a_worker_killed_in_mid_run_changes_no_byte(cluster, small_run, gated_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    store = folder / ".results.samples"
    before = worker_pids(cluster)
    command = [sys.executable, "-m", "cytomrd", "gate", str(folder), "--scheduler", cluster]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(store.glob("*/manifest.json")) and run.poll() is None:
        time.sleep(0.02)
    os.kill(before[0], signal.SIGKILL)
    output, errors = run.communicate(timeout=300)
    assert run.returncode == 0, output + errors
    for path in [*gated_run[1].glob("*.csv"), *gated_run[1].glob("samples/*/*.xml")]:
        assert path.read_bytes() == (folder / "results" / path.relative_to(gated_run[1])).read_bytes(), path
    assert before[0] not in worker_pids(cluster)


@pytest.mark.slow
def test_a_poisoned_task_is_boxed_and_costs_no_other(cluster):
    found = {}
    tasks = [Task("poison", os.abort, ()), *(Task(i, abs, (-i,)) for i in range(4))]
    with DaskPool(cluster) as pool:
        run_tasks(tasks, pool, lambda task, result: found.update({task.key: result}))
    assert "was lost while it had this task" in str(found.pop("poison"))
    assert found == {i: i for i in range(4)}


@pytest.mark.slow
def test_what_cannot_be_used_is_said(cluster, monkeypatch):
    monkeypatch.setattr("cytomrd.run.dask_pool.CONNECT_S", 1.0)
    with pytest.raises(RunError, match="cannot be reached"):
        DaskPool("tcp://127.0.0.1:1")
    with pytest.raises(RunError, match="does not see /no/such"), DaskPool(cluster, folders=[Path("/no/such")]) as pool:
        assert pool.size


class GivenUp:
    """A client whose scheduler has been gone for so long that it has closed."""

    def scheduler_info(self, n_workers):
        return {}

    def cancel(self, futures):
        raise OSError

    def close(self):
        pass


def test_a_client_that_gave_the_scheduler_up_says_so(monkeypatch):
    monkeypatch.setattr("distributed.Client", lambda *args, **how: GivenUp())
    with DaskPool("tcp://127.0.0.1:8786") as pool:
        with pytest.raises(RunError, match=r"was lost .*finished samples are kept"):
            assert pool.size
        with pytest.raises(RunError, match="was lost"):
            pool.submit(Task(0, int, ()))


class Shrinking:
    """A client of a cluster of two workers, of which one dies unnoticed once both were counted."""

    def __init__(self):
        self.workers, self.given = ["tcp://a", "tcp://b"], []

    def scheduler_info(self, n_workers):
        return {"workers": {worker: {} for worker in self.workers}}

    def run(self, function, *arguments, workers, on_error):
        return dict.fromkeys(workers, "")

    def submit(self, function, *arguments, workers, pure):
        self.given += workers
        return len(self.given)

    def cancel(self, futures):
        pass

    def close(self):
        pass


def test_an_idle_worker_lost_since_it_was_counted_costs_no_task(monkeypatch):
    client = Shrinking()
    monkeypatch.setattr("distributed.Client", lambda *args, **how: client)
    with DaskPool("tcp://127.0.0.1:8786") as pool:
        assert pool.size == 2
        pool.submit(Task(0, int, ()))
        client.workers.remove("tcp://b")
        pool.submit(Task(1, int, ()))
    assert client.given == ["tcp://a", "tcp://a"]


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_run_and_what_is_finished_stays(small_run, gated_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    store = folder / ".results.samples"
    (tmp_path / "dask").mkdir()
    with started_cluster(tmp_path / "dask") as address:
        with distributed.Client(address, set_as_default=False) as client:
            scheduler = client.run_on_scheduler(os.getpid)
        command = [sys.executable, "-m", "cytomrd", "gate", str(folder), "--scheduler", address]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not list(store.glob("*/manifest.json")) and run.poll() is None:
            time.sleep(0.02)
        os.kill(scheduler, signal.SIGKILL)
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 3, errors
    assert "was lost" in errors
    assert "finished samples are kept" in errors
    assert not (folder / "results").exists()
    kept = {path: path.stat().st_mtime_ns for path in store.glob("[!.]*/manifest.json")}
    assert kept
    subprocess.run([sys.executable, "-m", "cytomrd", "gate", str(folder), "-q"], check=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for path in gated_run[1].glob("*.csv"):
        assert path.read_bytes() == (folder / "results" / path.name).read_bytes(), path


def certificates(folder: Path) -> dict[str, str]:
    """An authority and a certificate that it signed, by the commands of docs/clusters.md; as settings of Dask."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    for command in (
        'req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=cytomrd CA" -keyout ca.key -out ca.pem',
        'req -newkey rsa:2048 -nodes -subj "/CN=cytomrd cluster" -keyout cluster.key -out cluster.csr',
        "x509 -req -in cluster.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cluster.pem",
    ):
        subprocess.run(["openssl", *shlex.split(command)], cwd=folder, check=True, capture_output=True)
    prefix = "DASK_DISTRIBUTED__COMM__"
    settings = {f"{prefix}REQUIRE_ENCRYPTION": "True", f"{prefix}TLS__CA_FILE": str(folder / "ca.pem")}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        settings[f"{prefix}TLS__{who}__CERT"] = str(folder / "cluster.pem")
        settings[f"{prefix}TLS__{who}__KEY"] = str(folder / "cluster.key")
    return settings


@pytest.mark.slow
def test_a_cluster_with_certificates_gives_the_same_bytes_and_takes_nobody_without(small_run, gated_run, tmp_path):
    ours, others = tmp_path / "ours", tmp_path / "others"
    ours.mkdir()
    others.mkdir()
    settings, foreign = certificates(ours), certificates(others)
    key = {f"tls_client_{what}": str(ours / f"cluster.{end}") for what, end in (("cert", "pem"), ("key", "key"))}
    security = Security(require_encryption=True, tls_ca_file=str(ours / "ca.pem"), **key)
    out = tmp_path / "results"

    def gate(address: str, certificate: dict[str, str]) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "cytomrd", "gate", str(small_run[0]), "-o", str(out), "--scheduler", address]
        environment = {**os.environ, **certificate}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)

    with started_cluster(tmp_path, "--protocol", "tls", security=security, **settings) as address:
        assert address.startswith("tls://127.0.0.1:")
        for scheme, certificate in (("tls", {}), ("tls", foreign), ("tcp", {})):
            refused = gate(address.replace("tls", scheme), certificate)
            assert refused.returncode == 3, refused.stderr
            assert "cannot be reached" in refused.stderr
        assert not out.exists()
        done = gate(address, settings)
        assert done.returncode == 0, done.stderr
    for path in [*gated_run[1].glob("*.csv"), *gated_run[1].glob("samples/*/*.xml")]:
        assert path.read_bytes() == (out / path.relative_to(gated_run[1])).read_bytes(), path
