"""A watch that has gone silent is noticed; one that is only late is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web

from sigma_operator.health import Health
from sigma_operator.kubernetes.watchdog import Watchdog

A, B = ("desk", "a"), ("desk", "b")


@pytest.fixture
def dog() -> Watchdog:
    watchdog = Watchdog()
    watchdog.record("Pod", *A, "1")
    return watchdog


def test_a_delivered_version_is_not_missed(dog: Watchdog) -> None:
    assert not dog.check("Pod", {A: "1"})
    assert not dog.check("Pod", {A: "1"})
    assert not dog.dead


def test_a_version_listed_twice_and_not_delivered_is_missed(dog: Watchdog) -> None:
    assert not dog.check("Pod", {A: "2"}), "it may be on its way"
    assert dog.check("Pod", {A: "2"}) == {A}
    assert dog.dead == {"Pod": A}


def test_late_delivery_is_not_missed(dog: Watchdog) -> None:
    dog.check("Pod", {A: "2"})
    dog.record("Pod", *A, "2")
    assert not dog.check("Pod", {A: "2"})


def test_an_object_that_changes_often_is_not_missed(dog: Watchdog) -> None:
    assert not dog.check("Pod", {A: "2"})
    assert not dog.check("Pod", {A: "3"})
    assert not dog.check("Pod", {A: "4"})


def test_a_new_object_that_is_never_delivered_is_missed(dog: Watchdog) -> None:
    dog.check("Pod", {A: "1", B: "7"})
    assert dog.check("Pod", {A: "1", B: "7"}) == {B}


def test_a_deleted_object_is_forgotten_and_a_watch_may_recover(dog: Watchdog) -> None:
    dog.check("Pod", {A: "2"})
    dog.check("Pod", {A: "2"})
    assert not dog.check("Pod", {})
    assert not dog.dead


def test_an_object_younger_than_the_list_is_not_missed(dog: Watchdog) -> None:
    dog.record("Pod", *B, "1")
    for listed in ({A: "1"}, {A: "1", B: "1"}, {A: "1", B: "1"}):
        assert not dog.check("Pod", listed)


def test_a_forgotten_object_must_be_delivered_again(dog: Watchdog) -> None:
    for listed in ({}, {}, {A: "1"}):
        assert not dog.check("Pod", listed)
    assert dog.check("Pod", {A: "1"}) == {A}


async def test_the_probe_fails_while_a_watch_is_dead(dog: Watchdog) -> None:
    health = Health(dog)
    request = cast(web.Request, SimpleNamespace())
    assert (await health.healthz(request)).status == 200
    dog.check("Pod", {A: "2"})
    dog.check("Pod", {A: "2"})
    answer = await health.healthz(request)
    assert answer.status == 503
    assert "Pod (desk/a was not shown)" in str(answer.text)
