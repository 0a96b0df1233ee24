"""Models, groups and packages through the vendor's own resources, unmodified; run with the emulator's variables.

Writes what it saw to standard output, as one JSON document.
"""

from __future__ import annotations

import json
import os
import sys

import sagemaker.core.resources as sdk
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.shapes.shapes import Tag

ROLE, IMAGE, DATA = (os.environ[name] for name in ("TEST_ROLE", "TEST_IMAGE", "TEST_DATA"))
CONTAINER = {"image": IMAGE, "model_data_url": DATA}


def specification() -> sdk.InferenceSpecification:
    return sdk.InferenceSpecification(
        containers=[CONTAINER],
        supported_content_types=["application/json"],
        supported_response_mime_types=["application/json"],
    )


def register(**arguments: object) -> str:
    """ModelPackage.create makes the package, then reads a member that its API's answer does not have."""
    try:
        sdk.ModelPackage.create(inference_specification=specification(), **arguments)
    except KeyError as exc:
        return str(exc)
    return ""


def groups() -> dict[str, object]:
    group = sdk.ModelPackageGroup.create(
        model_package_group_name="credit", model_package_group_description="Größe", tags=[Tag(key="team", value="risk")]
    )
    group.wait_for_status("Completed", poll=1, timeout=10)
    group.refresh()
    found = sdk.ModelPackageGroup.get("credit")
    names = [each.model_package_group_name for each in sdk.ModelPackageGroup.get_all()]
    return {"status": group.model_package_group_status, "arn": found.model_package_group_arn, "all": names}


def packages() -> dict[str, object]:
    missing = register(model_package_group_name="credit", customer_metadata_properties={"alias:next": "yes"})
    (version,) = list(sdk.ModelPackage.get_all(model_package_group_name="credit"))
    version.refresh()
    version.update(model_approval_status="Approved", approval_description="looked at")
    version.wait_for_status("Completed", poll=1, timeout=10)
    again = sdk.ModelPackage.get(version.model_package_arn)
    register(model_package_name="alone")
    alone = sdk.ModelPackage.get("alone")
    alone.refresh()
    alone.delete()
    return {
        "missing": missing,
        "approval": again.model_approval_status,
        "metadata": again.customer_metadata_properties,
        "arn": again.model_package_arn,
        "left": [each.model_package_arn for each in sdk.ModelPackage.get_all(model_package_type="Both")],
    }


def models(package: str) -> dict[str, object]:
    for name, container in (("of-image", CONTAINER), ("of-package", {"model_package_name": package})):
        sdk.Model.create(model_name=name, execution_role_arn=ROLE, primary_container=container)
    model = sdk.Model.get("of-image")
    model.refresh()
    names = sorted(each.model_name for each in sdk.Model.get_all())
    for name in names:
        sdk.Model.get(name).delete()
    left = [each.model_name for each in sdk.Model.get_all()]
    return {"image": model.primary_container.image, "all": names, "left": left}


def main() -> None:
    session = Session()
    seen: dict[str, object] = {"bucket": session.default_bucket(), "groups": groups()}
    seen["packages"] = packages()
    seen["models"] = models(str(seen["packages"]["arn"]))  # type: ignore[index]  # made just above
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
