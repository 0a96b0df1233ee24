"""The tables of the host's database. Statements are separated by blank lines."""

from __future__ import annotations

VERSION = 1

HOST = """
CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID

CREATE TABLE tags (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (kind, id, key)
) WITHOUT ROWID

CREATE INDEX tags_by_value ON tags (kind, key, value, id)

CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  detail TEXT NOT NULL DEFAULT '',
  plan TEXT NOT NULL,
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  started TEXT,
  ended TEXT,
  exit_code INTEGER,
  reason TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '{}',
  attempt INTEGER NOT NULL DEFAULT 0,
  infrastructure_failures INTEGER NOT NULL DEFAULT 0,
  user_failures INTEGER NOT NULL DEFAULT 0,
  stop_requested INTEGER NOT NULL DEFAULT 0,
  pid INTEGER,
  process TEXT,
  spawned REAL NOT NULL DEFAULT 0,
  spawns INTEGER NOT NULL DEFAULT 0
)

CREATE INDEX jobs_by_state ON jobs (state, seq)

CREATE INDEX jobs_by_update ON jobs (updated)

CREATE TABLE transitions (
  job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  at TEXT NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL
)

CREATE INDEX transitions_by_job ON transitions (job)

CREATE TABLE models (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  created TEXT NOT NULL,
  updated TEXT NOT NULL
)

CREATE TABLE version_counters (
  model TEXT PRIMARY KEY,
  last INTEGER NOT NULL
) WITHOUT ROWID

CREATE TABLE versions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  model TEXT NOT NULL REFERENCES models (name),
  version INTEGER NOT NULL,
  digest TEXT NOT NULL,
  registration TEXT NOT NULL,
  stage TEXT NOT NULL,
  approval_status TEXT NOT NULL,
  owner TEXT NOT NULL,
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  UNIQUE (model, version),
  UNIQUE (model, digest)
)

CREATE TABLE aliases (
  model TEXT NOT NULL,
  alias TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (model, alias),
  FOREIGN KEY (model, version) REFERENCES versions (model, version)
) WITHOUT ROWID

CREATE TABLE history (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  model TEXT NOT NULL,
  version INTEGER NOT NULL,
  at TEXT NOT NULL,
  principal TEXT NOT NULL,
  mark TEXT NOT NULL,
  old TEXT,
  new TEXT
)

CREATE INDEX history_by_version ON history (model, version)

CREATE TABLE endpoints (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  settings TEXT NOT NULL,
  traffic TEXT NOT NULL,
  shadow TEXT NOT NULL,
  expires TEXT,
  etag TEXT NOT NULL,
  applied TEXT NOT NULL DEFAULT '',
  port INTEGER NOT NULL DEFAULT 0,
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  pid INTEGER,
  process TEXT,
  spawned REAL NOT NULL DEFAULT 0,
  spawns INTEGER NOT NULL DEFAULT 0,
  restarts INTEGER NOT NULL DEFAULT 0
)

CREATE INDEX endpoints_by_state ON endpoints (state)

CREATE TABLE deployments (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  endpoint TEXT NOT NULL REFERENCES endpoints (name),
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  plan TEXT NOT NULL,
  model TEXT NOT NULL,
  version INTEGER,
  digest TEXT NOT NULL,
  replicas INTEGER NOT NULL,
  ready_replicas INTEGER NOT NULL DEFAULT 0,
  restarts INTEGER NOT NULL DEFAULT 0,
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  UNIQUE (endpoint, name)
)

CREATE INDEX deployments_by_model ON deployments (model, version)
"""

OBJECTS = """
CREATE TABLE objects (
  bucket TEXT NOT NULL,
  key TEXT NOT NULL,
  state TEXT NOT NULL,
  staged TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  etag TEXT NOT NULL,
  modified TEXT NOT NULL,
  metadata TEXT NOT NULL,
  PRIMARY KEY (bucket, key)
) WITHOUT ROWID

CREATE INDEX unfinished ON objects (state) WHERE state != 'stored'
"""

METRICS = """
CREATE TABLE seconds (
  deployment TEXT NOT NULL,
  second INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  latencies TEXT NOT NULL,
  PRIMARY KEY (deployment, second)
) WITHOUT ROWID

CREATE TABLE progress (
  id INTEGER PRIMARY KEY CHECK (id = 0),
  complete_until INTEGER NOT NULL
)
"""
