"""Which objects a channel means, where they go in the container, and which node gets which."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.aws.training.channels import Channel, Item, manifested, place, prefixed, shared
from mlinfra.emulator.aws.training.faults import ClientError


@pytest.mark.parametrize(
    ("prefix", "uri", "path"),
    [
        ("s3://b/data/", "s3://b/data/a/b.csv", "a/b.csv"),
        ("s3://b/data", "s3://b/data/a/b.csv", "a/b.csv"),
        ("s3://b/data/a.csv", "s3://b/data/a.csv", "a.csv"),
        ("s3://b/data/tr", "s3://b/data/train/x.csv", "train/x.csv"),
        ("s3://b/data/tr", "s3://b/data/train.csv", "train.csv"),
        ("s3://b", "s3://b/x.csv", "x.csv"),
        ("s3://b/", "s3://b/deep/x.csv", "deep/x.csv"),
    ],
)
def test_a_path_begins_behind_the_prefix(prefix, uri, path):
    assert prefixed(prefix, [uri]) == [Item(uri, path)]


def test_markers_of_empty_folders_are_no_files():
    assert prefixed("s3://b/d/", ["s3://b/d/", "s3://b/d/e/", "s3://b/d/f"]) == [Item("s3://b/d/f", "f")]


def test_a_manifest_is_a_prefix_and_its_keys():
    text = json.dumps([{"prefix": "s3://b/some/"}, "x.csv", "deep/y.csv"]).encode()
    assert manifested(text) == [Item("s3://b/some/x.csv", "x.csv"), Item("s3://b/some/deep/y.csv", "deep/y.csv")]


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'["a"]', b'[{"prefix": "b/"}, "a"]', b'[{"prefix": "s3://b/"}, 1]']
)
def test_what_is_no_manifest_fails_the_job(text):
    with pytest.raises(ClientError, match="manifest"):
        manifested(text)


def _channel(distribution="FullyReplicated", groups=(), seed=None):
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/", "S3DataDistributionType": distribution}
    document = {"ChannelName": "c", "DataSource": {"S3DataSource": {**source, "InstanceGroupNames": list(groups)}}}
    return Channel.of(document if seed is None else {**document, "ShuffleConfig": {"Seed": seed}}, "File")


_ITEMS = [Item(f"s3://b/{number}", str(number)) for number in range(7)]


def test_every_node_gets_all_of_a_replicated_channel():
    assert shared(_channel(), _ITEMS, ["g", "g"]) == [_ITEMS, _ITEMS]


@given(st.integers(1, 9), st.integers(0, 30), st.none() | st.integers(0, 5))
def test_a_sharded_channel_is_dealt_out_whole_and_evenly(nodes, count, seed):
    items = [Item(f"s3://b/{number}", str(number)) for number in range(count)]
    hands = shared(_channel("ShardedByS3Key", seed=seed), items, ["g"] * nodes)
    assert sorted(item for hand in hands for item in hand) == sorted(items)
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_a_seed_deals_in_another_order_that_repeats():
    plain = shared(_channel("ShardedByS3Key"), _ITEMS, ["g", "g"])
    shuffled = shared(_channel("ShardedByS3Key", seed=3), _ITEMS, ["g", "g"])
    assert shuffled != plain
    assert shared(_channel("ShardedByS3Key", seed=3), _ITEMS, ["g", "g"]) == shuffled


def test_instance_groups_get_only_their_channels():
    hands = shared(_channel("ShardedByS3Key", groups=["gpu"]), _ITEMS, ["cpu", "gpu", "gpu"])
    assert hands == [[], _ITEMS[::2], _ITEMS[1::2]]


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", ""])
def test_a_key_does_not_lead_out_of_its_channel(tmp_path, path):
    with pytest.raises(ClientError):
        place(tmp_path, Item("s3://b/k", path))


def test_a_key_that_is_file_and_folder_at_once_fails_the_job(tmp_path):
    place(tmp_path, Item("s3://b/a", "a")).write_text("x")
    with pytest.raises(ClientError, match="folder"):
        place(tmp_path, Item("s3://b/a/b", "a/b"))
    place(tmp_path, Item("s3://b/c/d", "c/d"))
    with pytest.raises(ClientError, match="folder"):
        place(tmp_path, Item("s3://b/c", "c"))
