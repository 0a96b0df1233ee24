"""ModelService: what the vendor's client gets for uploads, versions, aliases, labels, changes and deletion."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as vertex

IMAGE = "europe-west4-docker.pkg.dev/mlinfra-emulated/mlinfra/serving:1"


def model(name: str = "credit", **members) -> vertex.Model:
    spec = vertex.ModelContainerSpec(
        image_uri=IMAGE, predict_route="/invocations", health_route="/ping", ports=[vertex.Port(container_port=8080)]
    )
    return vertex.Model({"display_name": name, "container_spec": spec, **members})


@pytest.fixture
def models(client):
    return client("ModelService")


@pytest.fixture
def upload(models, parent):
    def send(**request) -> vertex.UploadModelResponse:
        message = request.pop("model", None) or model()
        return models.upload_model(request={"parent": parent, "model": message, **request}).result(timeout=10)

    return send


def test_an_upload_makes_version_one_which_is_the_default(upload, models, emulator):
    answer = upload(model_id="credit")
    assert answer.model == f"projects/{emulator.project_number}/locations/{emulator.region}/models/credit"
    assert answer.model_version_id == "1"
    found = models.get_model(name=answer.model)
    assert list(found.version_aliases) == ["default"]
    assert found.container_spec.image_uri == IMAGE
    assert found.create_time == found.version_create_time
    assert list(found.supported_deployment_resources_types) == [1]


def test_the_operation_tells_what_it_is_about(models, parent):
    operation = models.upload_model(parent=parent, model=model())
    assert operation.operation.name.rpartition("/operations/")[0].rpartition("/")[0].endswith("/models")
    assert operation.metadata.generic_metadata.create_time.year > 2000
    assert operation.result(timeout=10).model


def test_a_second_upload_into_a_model_is_its_next_version(upload, models):
    first = upload(model_id="credit")
    second = upload(parent_model=first.model, model=model(version_aliases=["champion"], version_description="better"))
    assert (second.model, second.model_version_id) == (first.model, "2")
    assert models.get_model(name=first.model).version_id == "1"
    champion = models.get_model(name=f"{first.model}@champion")
    assert (champion.version_id, champion.version_description) == ("2", "better")
    assert [each.version_id for each in models.list_model_versions(name=first.model)] == ["1", "2"]
    assert [each.name for each in models.list_model_versions(name=first.model)] == [
        f"{first.model}@1",
        f"{first.model}@2",
    ]


def test_the_default_moves_and_is_never_without_a_version(upload, models):
    first = upload(model_id="credit").model
    upload(parent_model=first, model=model(version_aliases=["default"]))
    assert models.get_model(name=first).version_id == "2"
    with pytest.raises(exceptions.InvalidArgument, match="default"):
        models.merge_version_aliases(name=f"{first}@2", version_aliases=["-default"])
    models.merge_version_aliases(name=f"{first}@1", version_aliases=["default"])
    assert models.get_model(name=first).version_id == "1"


def test_aliases_move_and_go(upload, models):
    name = upload(model_id="credit", model=model(version_aliases=["champion"])).model
    upload(parent_model=name)
    moved = models.merge_version_aliases(name=f"{name}@2", version_aliases=["champion", "candidate"])
    assert sorted(moved.version_aliases) == ["candidate", "champion"]
    assert list(models.get_model(name=f"{name}@1").version_aliases) == ["default"]
    models.merge_version_aliases(name=f"{name}@2", version_aliases=["-candidate", "both", "-both"])
    assert list(models.get_model(name=f"{name}@2").version_aliases) == ["champion"]
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=f"{name}@candidate")


@pytest.mark.parametrize("alias", ["Champion", "1st", "x" * 129, "under_score"])
def test_an_alias_that_breaks_the_documented_pattern_is_refused(upload, models, alias):
    name = upload(model_id="credit").model
    with pytest.raises(exceptions.InvalidArgument, match=r"version_aliases\[0\]"):
        models.merge_version_aliases(name=f"{name}@1", version_aliases=[alias])


def test_a_model_id_is_taken_once(upload):
    upload(model_id="credit")
    with pytest.raises(exceptions.AlreadyExists, match="credit"):
        upload(model_id="credit")


def test_a_version_of_a_model_that_is_not_there_is_refused(upload, parent):
    with pytest.raises(exceptions.NotFound):
        upload(parent_model=f"{parent}/models/nobody")


def test_labels_of_model_and_version_are_told_together_and_filter_lists(upload, models, parent):
    name = upload(model_id="credit", model=model(labels={"stage": "dev"})).model
    upload(parent_model=name, model=model(labels={"digest": "d2"}))
    upload(model_id="churn", model=model("churn"))
    update = vertex.Model(name=name, labels={"team": "risk"})
    models.update_model(model=update, update_mask={"paths": ["labels"]})
    assert dict(models.get_model(name=f"{name}@2").labels) == {"team": "risk", "digest": "d2"}
    assert dict(models.get_model(name=name).labels) == {"team": "risk", "stage": "dev"}

    def found(**request) -> list[str]:
        return [each.display_name for each in models.list_models(request={"parent": parent, **request})]

    assert found(filter='labels.team="risk"') == ["credit"]
    assert found(filter='display_name="churn" OR labels.stage=dev') == ["churn", "credit"]
    assert found(filter="model=churn") == ["churn"]
    assert found(filter='NOT displayName="churn"') == ["credit"]
    assert found(order_by="display_name desc") == ["credit", "churn"]
    versions = models.list_model_versions(request={"name": name, "filter": 'labels.digest="d2"'})
    assert [each.version_id for each in versions] == ["2"]


def test_what_belongs_to_the_version_is_not_changed_with_the_model(upload, models):
    name = upload(model_id="credit").model
    with pytest.raises(exceptions.FailedPrecondition):
        models.update_model(model=vertex.Model(name=name), update_mask={"paths": ["version_description"]})
    changed = models.update_model(
        model=vertex.Model(name=f"{name}@1", version_description="the first", labels={"stage": "prod"}),
        update_mask={"paths": ["version_description", "labels.stage"]},
    )
    assert (changed.version_description, dict(changed.labels)) == ("the first", {"stage": "prod"})


@pytest.mark.parametrize("path", ["artifact_uri", "create_time", "nonsense", "container_spec"])
def test_fields_that_cannot_be_updated_are_refused(upload, models, path):
    name = upload(model_id="credit").model
    with pytest.raises(exceptions.InvalidArgument, match=path):
        models.update_model(model=vertex.Model(name=name), update_mask={"paths": [path]})


def test_an_old_etag_is_refused(upload, models):
    name = upload(model_id="credit").model
    before = models.get_model(name=name).etag
    models.update_model(
        model=vertex.Model(name=name, description="x", etag=before), update_mask={"paths": ["description"]}
    )
    assert models.get_model(name=name).etag != before
    with pytest.raises(exceptions.Aborted):
        models.update_model(
            model=vertex.Model(name=name, description="y", etag=before), update_mask={"paths": ["description"]}
        )


def test_versions_go_one_by_one_but_neither_the_default_nor_the_last(upload, models):
    name = upload(model_id="credit").model
    with pytest.raises(exceptions.FailedPrecondition, match="only version"):
        models.delete_model_version(name=f"{name}@1")
    upload(parent_model=name, model=model(version_aliases=["champion"]))
    with pytest.raises(exceptions.FailedPrecondition, match="default"):
        models.delete_model_version(name=f"{name}@1")
    with pytest.raises(exceptions.InvalidArgument, match="version ID"):
        models.delete_model_version(name=f"{name}@champion")
    models.delete_model_version(name=f"{name}@2").result(timeout=10)
    assert [each.version_id for each in models.list_model_versions(name=name)] == ["1"]
    assert upload(parent_model=name).model_version_id == "3"


def test_a_deleted_model_is_gone_with_its_versions(upload, models, emulator):
    name = upload(model_id="credit").model
    assert emulator.leftovers() == [name]
    models.delete_model(name=name).result(timeout=10)
    with pytest.raises(exceptions.NotFound):
        models.get_model(name=name)
    assert emulator.leftovers() == []


def test_what_is_deployed_is_not_deleted(upload, models, emulator, monkeypatch):
    name = upload(model_id="credit").model
    upload(parent_model=name)
    endpoint = f"{emulator.place.parent}/endpoints/7"
    monkeypatch.setattr(
        emulator.endpoints, "deployed", lambda asked: [(endpoint, "11")] if asked == f"{name}@2" else []
    )
    assert [each.endpoint for each in models.get_model(name=f"{name}@2").deployed_models] == [endpoint]
    assert not models.get_model(name=name).deployed_models
    with pytest.raises(exceptions.FailedPrecondition, match="endpoints/7"):
        models.delete_model_version(name=f"{name}@2")
    with pytest.raises(exceptions.FailedPrecondition, match="endpoints/7"):
        models.delete_model(name=name)


def test_a_copy_is_a_model_of_its_own_that_names_where_it_is_from(upload, models, parent):
    source = upload(model_id="credit", model=model(labels={"digest": "d1"})).model
    request = {"parent": parent, "source_model": f"{source}@1", "model_id": "credit-prod"}
    copied = models.copy_model(request=request).result(timeout=10)
    found = models.get_model(name=copied.model)
    assert found.original_model_info.model == f"{source}@1"
    assert dict(found.labels) == {"digest": "d1"}
    assert found.container_spec.image_uri == IMAGE


@pytest.mark.parametrize(
    ("image", "error"),
    [
        ("", exceptions.InvalidArgument),
        ("docker.io/library/python:3.11", exceptions.InvalidArgument),
        (f"{IMAGE}2", exceptions.NotFound),
        ("us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest", exceptions.MethodNotImplemented),
    ],
)
def test_a_model_whose_image_cannot_be_ingested_is_refused(upload, image, error):
    wrong = model()
    wrong.container_spec.image_uri = image
    with pytest.raises(error):
        upload(model=wrong)
