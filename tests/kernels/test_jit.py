"""Compiled code on disk: never that of other sources, and never needed."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numba.core.caching import FunctionCache

from cytomrd.kernels import _jit

needs_compiler = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "caller.py").write_text("a")
    (folder / "callee.py").write_text("b")
    return folder


def test_a_change_in_any_kernel_file_gives_a_new_folder_and_the_old_one_goes(sources):
    first = _jit._cache_folder(sources)
    assert first == _jit._cache_folder(sources)
    assert first.parent == sources / "__pycache__"
    (sources / "callee.py").write_text("c")
    second = _jit._cache_folder(sources)
    assert second != first
    assert second.is_dir()
    assert not first.exists()


def test_where_the_sources_cannot_be_written_beside_the_users_cache_is_taken(sources, tmp_path):
    (sources / "__pycache__").write_text("no folder can be made here")
    folder = _jit._cache_folder(sources)
    assert folder.parent == tmp_path / "user" / "cytomrd"
    (tmp_path / "user" / "cytomrd" / "kernels-0000").mkdir()
    (sources / "callee.py").write_text("c")
    _jit._cache_folder(sources)
    # Other installations share this place.
    assert folder.is_dir()
    assert (tmp_path / "user" / "cytomrd" / "kernels-0000").is_dir()


def test_no_place_at_all_means_no_cache(sources, tmp_path):
    (sources / "__pycache__").write_text("")
    (tmp_path / "user").write_text("")
    assert _jit._cache_folder(sources) is None


def test_the_users_choice_of_a_folder_is_kept(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "chosen"))
    assert _jit._cache_folder(sources).parent == tmp_path / "chosen"


@needs_compiler
def test_a_full_disk_costs_the_cache_and_not_the_work(tmp_path, monkeypatch):
    def fails(self, sig, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FunctionCache, "save_overload", fails)
    monkeypatch.setattr(_jit, "_CACHE", tmp_path)

    @_jit.kernel
    def twice(x):
        return 2 * x

    assert twice(np.float64(2.0)) == 4.0
    assert numba.config.CACHE_DIR == ""
