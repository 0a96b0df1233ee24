"""What `env doctor` makes of the checks that clients bring."""

from __future__ import annotations

import pytest

from mlinfra.engine import doctor

WELL = {"name": "image base", "verdict": "ok", "detail": "there"}
UNSEEN = {"name": "key main", "verdict": "not checked", "detail": "nobody may look", "permission": "kms:DescribeKey"}
GONE = {"name": "image base", "verdict": "failed", "detail": "it does not exist", "fix": "correct the environment"}
DENIED = {"name": "rights: jobs", "verdict": "failed", "detail": "1 of 3 is not held", "permission": "a:Submit"}


@pytest.mark.parametrize(
    ("documents", "code"),
    [([], 0), ([WELL, UNSEEN], 0), ([WELL, GONE], 4), ([UNSEEN, DENIED], 3), ([DENIED, GONE], 3), ([GONE, DENIED], 4)],
)
def test_the_first_check_that_failed_gives_the_exit_code(documents: list[dict[str, str]], code: int):
    assert doctor.exit_code(map(doctor.of_client, documents)) == code


@pytest.mark.parametrize("document", [WELL, UNSEEN, GONE, DENIED])
def test_a_check_is_told_as_the_client_told_it(document: dict[str, str]):
    assert doctor.of_client(document).as_document() == document
