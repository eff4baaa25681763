"""Light chains of clusters: labels, ratio rule, posterior."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.mrd.light_chain import (
    BOTH_CHAINS,
    KAPPA,
    LAMBDA,
    NO_CHAIN,
    label_light_chains,
    normal_kappa,
    restriction,
    two_mode_cut,
)
from cytomrd.panel import MrdSpec

SPEC = MrdSpec()
MARKERS = ("CyIgLambda", "CD19", "CyIgKappa")


def judge(n_kappa, n_lambda, share=1.0, prior=0.6):
    chains = np.repeat([KAPPA, LAMBDA], [n_kappa, n_lambda]).astype(np.int8)
    shares, others = np.full(len(chains), share), np.full(len(chains), 0.6)
    return restriction(chains, shares, others, normal=normal_kappa(300, 200), spec=SPEC, prior=prior)


def test_only_one_clear_chain_counts():
    values = np.array([[0.2, 0.5, 0.7], [0.7, 0.5, 0.2], [0.2, 0.5, 0.2], [0.7, 0.5, 0.7]])
    found = label_light_chains(values, MARKERS, {"CyIgKappa": 0.4, "CyIgLambda": 0.4}, SPEC)
    assert found.tolist() == [KAPPA, LAMBDA, NO_CHAIN, BOTH_CHAINS]


def test_cut_is_found_where_the_data_show_it():
    rng = np.random.default_rng(1)
    kappa = rng.random(400) < 0.6
    values = np.c_[np.where(kappa, 0.2, 0.7), np.full(400, 0.5), np.where(kappa, 0.7, 0.2)] + rng.normal(
        0, 0.05, (400, 3)
    )
    found = label_light_chains(values, MARKERS, {"CyIgKappa": float("nan")}, SPEC)
    assert (found == np.where(kappa, KAPPA, LAMBDA)).mean() > 0.99


def test_without_two_modes_nothing_is_said():
    values = np.random.default_rng(1).normal(0.5, 0.05, (400, 3))
    assert label_light_chains(values, MARKERS, {}, SPEC) is None
    assert two_mode_cut(values[:, 0]) is None
    assert label_light_chains(values[:, :1], MARKERS[:1], {}, SPEC) is None


@pytest.mark.parametrize(
    ("n_kappa", "n_lambda", "by_ratio"),
    [(40, 0, True), (0, 40, True), (19, 0, False), (21, 3, False), (60, 40, False), (30, 70, False), (10, 90, True)],
)
def test_ratio_rule_needs_twenty_events_and_a_clear_interval(n_kappa, n_lambda, by_ratio):
    assert judge(n_kappa, n_lambda).by_ratio is by_ratio


def test_posterior_speaks_before_the_ratio_can():
    found = judge(15, 0)
    assert (found.by_ratio, found.by_posterior, found.chain) == (False, True, "kappa")
    found = judge(0, 9)
    assert (found.by_ratio, found.by_posterior, found.chain) == (False, True, "lambda")


@pytest.mark.parametrize(("n_kappa", "n_lambda"), [(9, 6), (60, 40), (600, 400), (70, 40), (3, 2)])
def test_polyclonal_clusters_are_not_restricted(n_kappa, n_lambda):
    found = judge(n_kappa, n_lambda)
    assert not found.restricted
    assert found.posterior < 0.5


def test_without_events_the_prior_stands():
    found = judge(0, 0)
    assert found.posterior == pytest.approx(0.6)
    assert (found.chain, found.ratio, found.restricted) == ("", None, False)


def test_normal_cells_among_the_cluster_weaken_it_but_do_not_hide_it():
    # Every event is the cluster's with probability 0.7 alone; the rest is normal.
    assert judge(2, 30, share=0.7).by_posterior
    assert judge(2, 30, share=0.02).posterior == pytest.approx(0.6, abs=0.05)


def test_half_a_cluster_of_normal_cells_is_seen():
    found = judge(24, 56)
    assert found.chain == "lambda"
    assert 0.3 <= found.clone_share <= 0.8


def test_spread_of_the_normal_ratio_is_respected():
    # A fraction of 0.7 kappa is within what normal subsets show, however many events are counted.
    assert not judge(700, 300).restricted
    assert sum(normal_kappa(1e6, 1e6)) < 200


def test_false_restriction_of_polyclonal_clusters_is_rare():
    rng = np.random.default_rng(3)
    wrong = sum(judge(k, 15 - k).restricted for k in rng.binomial(15, 0.6, 400))
    assert wrong <= 4
