"""Models: one version for one package, marks that move, approval that holds, copies that are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlinfra.contract.states import Approval, JobState
from mlinfra.engine import jobs
from mlinfra.engine.approval import approve, require_approved
from mlinfra.engine.copy_model import copy
from mlinfra.engine.deletion import delete
from mlinfra.engine.history import history
from mlinfra.engine.marks import alias, stage, unalias
from mlinfra.engine.models import download, register
from mlinfra.engine.session import open_session
from mlinfra.engine.submit import submit
from mlinfra.engine.versions import models, resolve, versions
from mlinfra.errors import Conflict, Denied, IntegrityError, NotFound
from mlinfra.modelkit import Manifest, save_model
from mlinfra.testing.base import MAX_RUNTIME, Suite, prepared
from mlinfra.testing.projects import training

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment


def package(folder: Path, slope: float = 2.0) -> Path:
    """A model package that multiplies by `slope`."""
    source = folder / f"source-{slope}"
    source.mkdir(parents=True, exist_ok=True)
    (source / "model.py").write_text(f"def predict(rows):\n    return [{slope} * row['x'] for row in rows]\n")
    target = folder / f"package-{slope}"
    save_model(source / "model.py", target, example=[{"x": 1.0}, {"x": 2.0}])
    return target


def registered(session: Session, folder: Path, model: str = "slopes", slope: float = 2.0) -> VersionObservation:
    """A version of a model, registered from this machine."""
    return register(session, model, package(folder, slope))


class ModelSuite(Suite):
    """What a platform's registry must do, with the kit's help."""

    def test_the_same_package_is_one_version(self, session: Session, tmp_path: Path) -> None:
        first = registered(session, tmp_path)
        assert registered(session, tmp_path).native_id == first.native_id
        assert len(list(versions(session, "slopes"))) == 1
        assert first.digest == Manifest.read(package(tmp_path)).digest

    def test_another_package_is_the_next_version(self, session: Session, tmp_path: Path) -> None:
        first, second = registered(session, tmp_path), registered(session, tmp_path, slope=3.0)
        assert first.version != second.version
        assert [each.version for each in versions(session, "slopes")] == [second.version, first.version]
        assert list(models(session)) == ["slopes"]

    def test_a_version_is_found_by_number_alias_and_digest(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        alias(session, version.name, "champion")
        digits = version.digest.removeprefix("sha256:")[:12]
        for reference in (version.name, "slopes@champion", f"slopes@sha256:{digits}", f"slopes@{version.digest}"):
            assert resolve(session, reference).native_id == version.native_id

    def test_what_is_not_there_is_not_found(self, session: Session, tmp_path: Path) -> None:
        registered(session, tmp_path)
        for reference in ("slopes@nobody", "slopes:77", "strangers:1", f"slopes@sha256:{'0' * 64}"):
            with pytest.raises(NotFound):
                resolve(session, reference)

    def test_an_alias_moves_and_goes(self, session: Session, tmp_path: Path) -> None:
        first, second = registered(session, tmp_path), registered(session, tmp_path, slope=3.0)
        alias(session, first.name, "champion")
        alias(session, second.name, "champion")
        assert resolve(session, "slopes@champion").version == second.version
        assert resolve(session, first.name).aliases == ()
        unalias(session, "slopes", "champion")
        with pytest.raises(NotFound):
            resolve(session, "slopes@champion")

    def test_a_stage_is_kept(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        stage(session, version.name, "staging")
        assert resolve(session, version.name).stage == "staging"

    def test_a_registrants_own_approval_does_not_count(self, session: Session, tmp_path: Path) -> None:
        production = replace(session, environment=session.environment.model_copy(update={"stage": "prod"}))
        version = registered(session, tmp_path)
        with pytest.raises(Denied):
            require_approved(production, version)
        approve(session, version.name)
        with pytest.raises(Denied):
            require_approved(production, version)
        require_approved(session, version)

    def test_a_rejection_is_written_beside_the_version(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        decision = approve(session, version.name, decision=Approval.REJECTED, note="drifts")
        assert (decision.decision, decision.note) == (Approval.REJECTED, "drifts")
        assert resolve(session, version.name).approval is Approval.REJECTED

    def test_what_is_downloaded_is_what_was_registered(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        download(session, version.name, tmp_path / "fetched")
        manifest = Manifest.read(tmp_path / "fetched")
        manifest.verify(tmp_path / "fetched")
        assert manifest.digest == version.digest

    def test_a_damaged_package_is_not_registered(self, session: Session, tmp_path: Path) -> None:
        folder = package(tmp_path)
        (folder / "model.py").write_text("def predict(rows):\n    return [0.0 for _ in rows]\n")
        with pytest.raises(IntegrityError):
            register(session, "slopes", folder)
        assert list(versions(session, "slopes")) == []

    def test_a_copy_in_another_environment_has_the_same_digest_and_no_approval(
        self, session: Session, other_environment: Environment, tmp_path: Path
    ) -> None:
        version = registered(session, tmp_path)
        approve(session, version.name)
        with open_session(other_environment, folders=session.folders, say=lambda _: None) as target:
            copied = copy(session, version.name, target, name="copies")
            assert copied.digest == version.digest
            assert copied.approval is Approval.PENDING
            assert copy(session, version.name, target, name="copies").native_id == copied.native_id

    def test_a_version_in_use_is_not_deleted(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        alias(session, version.name, "champion")
        with pytest.raises(Conflict):
            delete(session, version.name)
        unalias(session, "slopes", "champion")
        delete(session, version.name)
        assert list(versions(session, "slopes")) == []

    def test_a_version_in_use_is_deleted_when_one_insists(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        alias(session, version.name, "champion")
        delete(session, version.name, force=True)
        assert list(versions(session, "slopes")) == []

    def test_everything_done_to_a_model_is_told(self, session: Session, tmp_path: Path) -> None:
        version = registered(session, tmp_path)
        alias(session, version.name, "champion")
        approve(session, version.name)
        told = [entry.verb for entry in history(session, "slopes")]
        assert told[0] == "register"
        assert {"alias", "approve"} <= set(told)
        assert {entry.who for entry in history(session, "slopes")} == {session.caller.principal}

    def test_a_job_registers_its_model_when_its_metric_passes(self, session: Session, project: Path) -> None:
        wish = {"output": "model", "name": "slopes", "when": {"auc": ">= 0.8"}}
        spec = training("train", 0.9, register=wish)
        submission = submit(session, prepared(session, spec, project))
        assert "register" in submission.follow_ups
        ended, followed = jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)
        assert ended[0].state is JobState.SUCCEEDED
        version = resolve(session, "slopes")
        assert followed[0].version is not None
        assert followed[0].version.native_id == version.native_id
        assert version.lineage["job"] == submission.id
        assert version.metrics["auc"] == pytest.approx(0.9, rel=0, abs=0)

    def test_a_job_whose_metric_does_not_pass_registers_nothing(self, session: Session, project: Path) -> None:
        wish = {"output": "model", "name": "slopes", "when": {"auc": ">= 0.8"}}
        spec = training("train", 0.5, register=wish)
        submission = submit(session, prepared(session, spec, project))
        _, followed = jobs.wait(session, [submission.job], max_runtime=MAX_RUNTIME)
        assert "was not registered" in followed[0].outcome
        assert list(models(session)) == []
