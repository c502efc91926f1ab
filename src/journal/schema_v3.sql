CREATE TABLE actions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pass_id TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL,
  reason_code TEXT NOT NULL,
  reason_text TEXT NOT NULL,
  intended_at INTEGER NOT NULL,
  undo_of INTEGER,
  outcome TEXT,
  error TEXT,
  note TEXT,
  concluded_at INTEGER,
  undone_by INTEGER,
  CHECK ((outcome IS NULL) = (concluded_at IS NULL))
) STRICT;
CREATE INDEX actions_by_time ON actions (intended_at);
CREATE INDEX actions_in_doubt ON actions (id) WHERE outcome IS NULL;
CREATE TABLE subjects (
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  looks INTEGER NOT NULL,
  last_look INTEGER NOT NULL,
  last_acted INTEGER,
  acted_incarnation TEXT,
  ineffective INTEGER NOT NULL,
  PRIMARY KEY (policy, subject_kind, subject_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE host (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot_id TEXT NOT NULL,
  booted_at INTEGER NOT NULL,
  slept_ms INTEGER,
  steady_since INTEGER NOT NULL,
  resumed_at INTEGER,
  stepped_at INTEGER
) STRICT;
CREATE TABLE pause (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  until INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE TABLE protections (
  subject_id TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE verdicts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  decision TEXT NOT NULL,
  code TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE TABLE standing (
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  decision TEXT NOT NULL,
  code TEXT NOT NULL,
  PRIMARY KEY (policy, subject_kind, subject_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_gateways (
  boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  start_ticks INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  PRIMARY KEY (boot_id, pid, start_ticks)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_descents (
  boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  start_ticks INTEGER NOT NULL,
  gateway_pid INTEGER NOT NULL,
  gateway_ticks INTEGER NOT NULL,
  parent_pid INTEGER NOT NULL,
  parent_ticks INTEGER NOT NULL,
  argv_hash INTEGER NOT NULL,
  session_key TEXT,
  first_seen INTEGER NOT NULL,
  PRIMARY KEY (boot_id, pid, start_ticks)
) STRICT, WITHOUT ROWID;
CREATE TABLE tombstone_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  backing_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  facts TEXT NOT NULL
) STRICT;
CREATE TRIGGER tombstone_events_stay BEFORE DELETE ON tombstone_events BEGIN
  SELECT RAISE(ABORT, 'tombstones are append-only');
END;
CREATE TRIGGER tombstone_events_stay_as_they_are BEFORE UPDATE ON tombstone_events BEGIN
  SELECT RAISE(ABORT, 'tombstones are append-only');
END;
CREATE TABLE tombstone_sightings (
  backing_id TEXT PRIMARY KEY,
  last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
