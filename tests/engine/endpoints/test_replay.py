import json
from datetime import date

import pytest

from mlinfra.engine.captures import capture_uri, captured
from mlinfra.engine.replay import replay

NAME = "credit-risk"


def record(number, version="1", *, day="2030-01-01", **changes):
    rows = [{"age": 20 + number}, {"age": 30}]
    digest = f"sha256:{int(version):064x}"
    return {
        "id": f"r{number}",
        "time": f"{day}T00:00:00.000Z",
        "endpoint": NAME,
        "deployment": "main-old",
        "model_digest": digest,
        "schema_version": "s1",
        "input": rows,
        "output": [row["age"] / 7 * (int(digest[-1], 16) + 1) for row in rows],
        **changes,
    }


def put(world, records, *, day="2030-01-01", tail=b""):
    content = b"".join(json.dumps(each).encode() + b"\n" for each in records) + tail
    world.objects[f"captures/{NAME}/date={day}/hour=00/replica-1.jsonl"] = (content, "etag")


def test_captured_requests_are_answered_again_bit_for_bit(world):
    world.deploy("1")
    put(world, [record(number) for number in range(40)])
    result = replay(world.session(), NAME)
    assert (result.asked, result.same, result.differences, dict(result.passed_over)) == (40, 40, [], {})


def test_a_single_bit_is_a_difference(world):
    world.deploy("1")
    changed = record(1)
    changed["output"][0] = changed["output"][0] * (1 + 2**-52)
    put(world, [record(0), changed])
    result = replay(world.session(), NAME)
    assert (result.asked, result.different) == (2, 1)
    (difference,) = result.differences
    assert (difference.id, difference.captured != difference.answered) == ("r1", True)


def test_an_integer_is_no_float_with_the_same_value(world, kit):
    world.deploy("1")
    next(iter(world.endpoint.deployments.values())).behaviour = kit.Behaviour(predictions=[1, 2])
    put(world, [record(0, output=[1.0, 2.0])])
    assert replay(world.session(), NAME).different == 1


def test_what_cannot_be_asked_again_is_counted_by_reason(world):
    world.deploy("1")
    refused = record(2)
    del refused["output"]
    refused["rejection"] = {"status": 400}
    put(
        world,
        [record(0), record(1, masked=["income"]), refused, record(3, version="5"), ["no object"]],
        tail=b'not json\n{"id": "cut sho',
    )
    result = replay(world.session(), NAME)
    assert (result.asked, result.same) == (1, 1)
    assert dict(result.passed_over) == {
        "columns were masked": 1,
        "it was refused then, so there is no prediction to repeat": 1,
        "its model serves here no more; name a deployment to compare with": 1,
        "not readable": 2,
    }


def test_a_named_deployment_is_compared_with_whatever_answered_then(world):
    world.deploy("2")
    put(world, [record(number) for number in range(3)])
    assert replay(world.session(), NAME).asked == 0
    result = replay(world.session(), NAME, deployment=next(iter(world.endpoint.deployments)))
    assert (result.asked, result.different) == (3, 3)


def test_each_record_goes_to_the_variant_with_its_model(world):
    variants = {
        "main": {"model": "credit-risk:1", "traffic": "50%"},
        "rival": {"model": "credit-risk:2", "traffic": "50%"},
    }
    world.deploy(deployments=variants)
    put(world, [record(0), record(1, version="2"), record(2)])
    assert replay(world.session(), NAME).same == 3


def test_the_record_knows_a_model_that_the_platform_does_not_tell(world):
    world.platform.tells_digests = False
    world.deploy("1")
    put(world, [record(0), record(1, version="2")])
    assert replay(world.session(), NAME).same == 1


def test_a_refusal_now_is_a_difference_with_its_reason(world):
    world.deploy("1")
    put(world, [record(0, input=[{"age": 770}])])
    (difference,) = replay(world.session(), NAME).differences
    assert "refused" in difference.reason


def test_records_of_a_folder_or_a_file_since_a_day_and_up_to_a_limit(world, tmp_path):
    world.deploy("1")
    for day in ("2029-12-30", "2030-01-01", "2030-01-02"):
        folder = tmp_path / "taken" / f"date={day}" / "hour=07"
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text("".join(json.dumps(record(number, day=day)) + "\n" for number in range(5)))
    source = tmp_path / "taken"
    assert replay(world.session(), NAME, source=source).same == 15
    assert replay(world.session(), NAME, source=source, since=date(2030, 1, 1)).same == 10
    assert replay(world.session(), NAME, source=source, limit=7).asked == 7
    assert replay(world.session(), NAME, source=source / "date=2030-01-02" / "hour=07" / "a.jsonl").same == 5


def test_the_store_is_read_from_the_day_on_that_was_asked_for(world):
    world.deploy("1")
    put(world, [record(0)], day="2029-12-30")
    put(world, [record(1)], day="2030-01-01")
    assert replay(world.session(), NAME, since=date(2030, 1, 1)).asked == 1


@pytest.mark.parametrize("number", [1, 17])
def test_captures_of_other_endpoints_are_not_read(world, number):
    world.deploy("1")
    content = json.dumps(record(0)).encode() + b"\n"
    world.objects[f"captures/{NAME}-{number}/date=2030-01-01/hour=00/a.jsonl"] = (content, "etag")
    assert replay(world.session(), NAME).asked == 0
    assert capture_uri(world.session(), NAME) == "memory://store/captures/credit-risk"


def test_a_platform_s_own_records_are_read_in_its_own_way(world):
    world.deploy("1")
    put(world, [record(0, strange=True)])
    (read,) = captured(world.session(), NAME)
    assert read["read_from"].endswith("/replica-1.jsonl")


def test_a_record_without_a_digest_is_known_by_its_deployment(world):
    world.deploy("1")
    name = next(iter(world.endpoint.deployments))
    bare = {key: value for key, value in record(0).items() if key != "model_digest"}
    put(world, [{**bare, "deployment": name}, {**bare, "deployment": "main-unknown"}])
    result = replay(world.session(), NAME)
    assert (result.asked, result.same) == (1, 1)
    assert list(result.passed_over.values()) == [1]


def test_days_are_told_by_folders_of_year_month_and_day_too(world):
    world.deploy("1")
    for day in ("2030/01/01", "2030/01/02"):
        content = json.dumps(record(0)).encode() + b"\n"
        world.objects[f"captures/{NAME}/credit-risk-000000/main-old/{day}/00/part.jsonl"] = (content, "etag")
    assert len(list(captured(world.session(), NAME, since=date(2030, 1, 2)))) == 1
    assert len(list(captured(world.session(), NAME))) == 2
