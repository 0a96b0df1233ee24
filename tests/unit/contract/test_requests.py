from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.contract.requests import File, Follow, Lookup, Ref, Request, dig, found
from mlinfra.errors import KitFault

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
leaves = scalars | st.builds(Ref, st.text(), st.text()) | st.builds(File, st.text(), st.text(), st.integers())
keys = st.text().filter(lambda key: not key.startswith("$"))
bodies = st.dictionaries(
    keys, st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(keys, inner)), max_size=4
)
READ = Request(step="read", service="s", operation="Get", effect=False)


@settings(max_examples=30)
@given(body=bodies, repeatable=st.booleans())
def test_a_request_survives_its_document(body: dict[str, object], *, repeatable: bool):
    lookup = Lookup(READ, "items", where={"name": "a"})
    follow = Follow(READ, over="done", error="error.message", every=10.0)
    request = Request("make", "s", "Create", body, repeatable=repeatable, lookup=lookup, follow=follow)
    assert Request.from_document(request.as_document()) == request
    plain = Request("make", "s", "Create", body, repeatable=True, lookup=Lookup(READ))
    assert Request.from_document(plain.as_document()) == plain


def test_references_are_filled_from_replies_wherever_they_stand():
    request = Request("b", "s", "Create", {"x": [{"y": Ref("a", "items.0.arn")}]}, repeatable=True)
    assert request.refs == {"a"}
    assert request.resolve({"a": {"items": [{"arn": "it"}]}}).body == {"x": [{"y": "it"}]}


def test_a_reference_to_nothing_is_a_fault_of_the_kit():
    request = Request("b", "s", "Create", {"x": Ref("a", "arn")}, repeatable=True)
    with pytest.raises(KitFault, match=r"a\.arn"):
        request.resolve({"a": {}})


def test_an_effect_can_be_repeated_or_looked_up():
    with pytest.raises(KitFault, match="neither repeatable nor"):
        Request("a", "s", "Create")


@pytest.mark.parametrize(
    ("items", "reply", "expected"),
    [
        ("", {"name": "a"}, {"name": "a"}),
        ("", {}, None),
        ("jobs", {"jobs": []}, None),
        ("jobs", {}, None),
        ("jobs", {"jobs": [{"name": "a"}, {"name": "b"}]}, {"name": "a"}),
    ],
)
def test_a_lookup_finds_what_is_there(items: str, reply: dict[str, object], expected: dict[str, object] | None):
    assert found(Lookup(READ, items), reply) == expected


def test_a_lookup_finds_in_a_list_what_the_platform_cannot_narrow():
    reply = {"jobs": ["?", {"name": "a"}, {"name": "b", "id": "2"}, {"name": "b", "id": "3"}]}
    assert found(Lookup(READ, "jobs", where={"name": "b"}), reply) == {"name": "b", "id": "2"}
    assert found(Lookup(READ, "jobs", where={"name": "c"}), reply) is None


def test_digging_where_nothing_lies_is_a_key_error():
    for path in ("a.b", "a.0.c", "x", "a.1"):
        with pytest.raises(KeyError):
            dig({"a": [{"b": 1}]}, path)


def test_a_star_stands_for_every_item_and_a_form_is_put_around_each():
    reply = {"variants": [{"name": "a"}, {"name": "b"}], "arn": "arn:1"}
    body = {
        "ids": Ref("config", "variants.*.name", "endpoint/{}"),
        "names": Ref("config", "variants.*.name"),
        "one": Ref("config", "arn", "<{}>"),
    }
    request = Request("s", "svc", "Op", body, effect=False)
    assert request.resolve({"config": reply}).body == {
        "ids": ["endpoint/a", "endpoint/b"],
        "names": ["a", "b"],
        "one": "<arn:1>",
    }
    assert Request.from_document(request.as_document()) == request


@pytest.mark.parametrize("path", ["variants.*.other", "arn.*", "nothing.*.name"])
def test_a_star_where_no_list_of_such_items_lies_is_a_fault(path):
    reply = {"variants": [{"name": "a"}], "arn": "arn:1"}
    with pytest.raises(KitFault):
        Request("s", "svc", "Op", {"x": Ref("config", path)}, effect=False).resolve({"config": reply})
