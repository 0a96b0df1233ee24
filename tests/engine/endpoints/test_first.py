def test_smoke(world, kit):
    out = world.deploy("1")
    print(out.change, world.shares, world.versions)
    out = world.deploy("1")
    print(out.change)
    out = world.deploy("2", rollout={"steps": ["10%", "100%"], "bake": "3m", "min_requests": 60})
    print("\n".join(world.said))
    print(world.platform.wrongs, world.shares, world.versions, world.audit(), world.clock.time)
    assert 0
