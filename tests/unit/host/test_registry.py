from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mlinfra.errors import Conflict, NotFound, SpecError


def digest(number):
    return f"sha256:{number:064x}"


@pytest.fixture
def register(host):
    def register(number=1, model="credit-risk", **more):
        artifact = {"bucket": "artefacts", "prefix": f"models/{number}"}
        body = {"model": model, "digest": digest(number), "artifact": artifact, **more}
        return host.call("CreateModelVersion", body)

    return register


@pytest.fixture
def describe(host):
    def describe(version=None, model="credit-risk", **by):
        return host.call("DescribeModelVersion", {"model": model, **({"version": version} if version else {}), **by})

    return describe


@pytest.fixture
def update(host):
    def update(version, model="credit-risk", **marks):
        return host.call("UpdateModelVersion", {"model": model, "version": version, **marks})

    return update


def test_a_version_is_told_as_it_was_registered(host, register, describe):
    created = register(1, manifest={"format": "sklearn"}, lineage={"job": "j"}, metrics={"auc": 0.83}, tags={"a": "b"})
    assert (created["model"], created["version"], created["digest"]) == ("credit-risk", 1, digest(1))
    assert (created["stage"], created["approval_status"], created["aliases"]) == ("", "pending", [])
    assert (created["manifest"], created["lineage"]) == ({"format": "sklearn"}, {"job": "j"})
    assert (created["metrics"], created["tags"]) == ({"auc": 0.83}, {"a": "b"})
    assert created["owner"] == host.call("GetCallerIdentity")["principal"]
    found = describe(1)
    assert [entry["mark"] for entry in found.pop("history")] == ["registered"]
    assert found == created


def test_numbers_count_up_and_are_never_given_again(host, register):
    assert [register(number)["version"] for number in (1, 2, 3)] == [1, 2, 3]
    for version in (3, 2, 1):
        host.call("DeleteModelVersion", {"model": "credit-risk", "version": version})
    assert register(4)["version"] == 4
    host.call("DeleteModelVersion", {"model": "credit-risk", "version": 4})
    host.call("DeleteModel", {"model": "credit-risk"})
    assert register(5)["version"] == 5
    assert register(5, model="other")["version"] == 1


def test_the_very_same_registration_again_is_the_same_version(register):
    assert register(1, metrics={"auc": 0.8}) == register(1, metrics={"auc": 0.8})


def test_the_same_digest_in_other_words_is_a_conflict_that_names_the_version(register):
    register(1)
    register(2, metrics={"auc": 0.8})
    with pytest.raises(Conflict, match="credit-risk:2"):
        register(2, metrics={"auc": 0.9})
    assert register(2, model="other", metrics={"auc": 0.9})["version"] == 1


def test_a_version_is_found_by_number_alias_and_digest(register, describe, update):
    register(1)
    register(2)
    update(2, add_aliases=["champion"])
    assert describe(2)["version"] == describe(alias="champion")["version"] == describe(digest=digest(2))["version"] == 2
    for by in ({"alias": "nobody"}, {"version": 9}, {"digest": digest(9)}, {"version": 1, "model": "nobody"}):
        with pytest.raises(NotFound):
            describe(**by)
    for by in ({}, {"version": 1, "alias": "champion"}):
        with pytest.raises(SpecError):
            describe(**by)


def test_an_alias_moves_and_points_at_one_version_only(register, describe, update):
    register(1)
    register(2)
    assert update(1, add_aliases=["champion", "eu"])["aliases"] == ["champion", "eu"]
    assert update(2, add_aliases=["champion"])["aliases"] == ["champion"]
    assert describe(1)["aliases"] == ["eu"]
    with pytest.raises(Conflict, match="credit-risk:2"):
        update(1, remove_aliases=["champion"])
    assert update(2, remove_aliases=["champion", "never-was"])["aliases"] == []


def test_marks_change_all_at_once_or_not_at_all(register, describe, update):
    register(1)
    register(2)
    update(2, add_aliases=["champion"])
    before = describe(1)
    with pytest.raises(Conflict):
        update(1, stage="prod", approval_status="approved", tags={"a": "b"}, remove_aliases=["champion"])
    assert describe(1) == before


def test_the_history_says_who_changed_what(host, register, describe):
    register(1)
    boss = host.acting_as("boss")
    for _ in range(2):
        marks = {"stage": "prod", "approval_status": "approved", "add_aliases": ["champion"], "tags": {"k": "v"}}
        boss.call("UpdateModelVersion", {"model": "credit-risk", "version": 1, **marks})
    boss.call("UpdateModelVersion", {"model": "credit-risk", "version": 1, "tags": {"k": None, "absent": None}})
    history = describe(1)["history"]
    assert [(entry["mark"], entry["old"], entry["new"]) for entry in history] == [
        ("registered", None, digest(1)),
        ("stage", "", "prod"),
        ("approval_status", "pending", "approved"),
        ("alias", None, "champion"),
        ("tag k", None, "v"),
        ("tag k", "v", None),
    ]
    assert [entry["principal"] for entry in history[1:]] == ["boss"] * 5
    assert describe(1)["owner"] == host.call("GetCallerIdentity")["principal"] != "boss"
    boss.close()


def test_what_makes_a_version_cannot_be_changed(register, update):
    register(1)
    for field in ({"digest": digest(2)}, {"artifact": {}}, {"manifest": {}}, {"metrics": {}}, {"lineage": {}}):
        with pytest.raises(SpecError):
            update(1, **field)


@pytest.mark.parametrize("alias", ["", "7", "a b", "-a", "a/b", "x" * 129])
def test_an_alias_that_could_be_taken_for_something_else_is_refused(register, update, alias):
    register(1)
    with pytest.raises(SpecError):
        update(1, add_aliases=[alias])


def test_a_version_with_an_alias_is_not_deleted(host, register, update):
    register(1)
    update(1, add_aliases=["champion"])
    with pytest.raises(Conflict, match="alias champion"):
        host.call("DeleteModelVersion", {"model": "credit-risk", "version": 1})
    update(1, remove_aliases=["champion"])
    host.call("DeleteModelVersion", {"model": "credit-risk", "version": 1})
    with pytest.raises(NotFound):
        host.call("DeleteModelVersion", {"model": "credit-risk", "version": 1})


def test_a_model_with_versions_is_not_deleted(host, register):
    register(1)
    with pytest.raises(Conflict):
        host.call("DeleteModel", {"model": "credit-risk"})
    with pytest.raises(NotFound):
        host.call("DeleteModel", {"model": "nobody"})


def test_versions_are_listed_newest_first_and_narrowed(host, register, update):
    for number in range(1, 7):
        register(number, tags={"parity": str(number % 2)})
    update(3, stage="prod", approval_status="approved")

    def versions(**query):
        return [
            entry["version"] for entry in host.call("ListModelVersions", {"model": "credit-risk", **query})["versions"]
        ]

    assert versions() == [6, 5, 4, 3, 2, 1]
    assert versions(tags={"parity": "1"}) == [5, 3, 1]
    assert versions(stages=["prod"]) == versions(approval_statuses=["approved"]) == [3]
    assert versions(digest=digest(4)) == [4]
    assert versions(digest=digest(44)) == []
    newest = host.call("ListModelVersions", {"model": "credit-risk", "page_size": 1})["versions"][0]["updated"]
    assert versions(updated_after=newest) == [3]
    with pytest.raises(NotFound):
        host.call("ListModelVersions", {"model": "nobody"})


def test_models_are_listed(host, register):
    register(1)
    register(2)
    register(1, model="churn")
    models = host.call("ListModels")["models"]
    assert [(model["model"], model["versions"], model["newest"]) for model in models] == [
        ("churn", 1, 1),
        ("credit-risk", 2, 2),
    ]


def test_thousands_of_versions_are_listed_page_by_page_quickly(host, register):
    register(1)
    row = dict(host._database.connection.execute("SELECT * FROM versions").fetchone())
    rows = [{**row, "seq": n, "version": n, "digest": digest(n)} for n in range(2, 3001)]
    with host._database.write() as connection:
        connection.executemany(
            "INSERT INTO versions VALUES (:seq, :model, :version, :digest, :registration, :stage, :approval_status, "
            ":owner, :created, :updated)",
            rows,
        )
    started = time.process_time()
    seen, token = [], None
    while True:
        page = host.call("ListModelVersions", {"model": "credit-risk", "page_size": 500, "page_token": token})
        seen += [entry["version"] for entry in page["versions"]]
        token = page["next_token"]
        if token is None:
            break
    assert seen == list(range(3000, 0, -1))
    assert time.process_time() - started < 10


RACE = """
import sys
from pathlib import Path
from mlinfra.host import Host
with Host(Path(sys.argv[1])) as host:
    sys.stdin.read(1)
    for number in range(20):
        digest = f"sha256:{number:063x}{sys.argv[2]}"
        version = host.call("CreateModelVersion", {"model": "m", "digest": digest, "artifact": {}})["version"]
        host.call("UpdateModelVersion", {"model": "m", "version": version, "add_aliases": ["champion"]})
        print(version)
"""


def test_two_processes_that_register_get_numbers_of_their_own(host):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(host.root), digit], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for digit in "ab"
    ]
    numbers = [int(number) for racer in racers for number in racer.communicate(b"x")[0].split()]
    assert sorted(numbers) == list(range(1, 41))
    page = host.call("ListModelVersions", {"model": "m"})
    assert [entry["aliases"] for entry in page["versions"]].count(["champion"]) == 1
