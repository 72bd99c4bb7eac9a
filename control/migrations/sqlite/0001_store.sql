-- The store's tables. Unsigned 64-bit numbers (message ids) are kept as signed ones with the same bits;
-- times are Unix milliseconds.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- A new store is a new epoch: positions that clients bring from another one mean nothing here.
INSERT INTO meta (name, value) VALUES ('epoch', (random() & 0x7fffffffffffffff) | 1);

CREATE TABLE apps (
    id            INTEGER PRIMARY KEY,
    tag           TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
);

INSERT INTO apps (id, tag, name, created_at_ms)
VALUES (1000, 'app_gpusher', 'gpusher', CAST(unixepoch('subsec') * 1000 AS INTEGER));

-- Ids that were given once: clients hold positions in their logs, so that they are not given again.
CREATE TABLE removed_apps (
    id INTEGER PRIMARY KEY
);

CREATE TABLE users (
    user_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid          TEXT NOT NULL UNIQUE,
    username      TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    phone         TEXT NOT NULL,
    available     INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
);

CREATE UNIQUE INDEX users_by_username ON users (username) WHERE username <> '';

-- One row per log. `last_seq`: the last number given out, to kept and to live messages alike. `cut_seq`: retention
-- removed something up to here. `entries`: how many the log has.
CREATE TABLE channels (
    id       INTEGER PRIMARY KEY,
    kind     INTEGER NOT NULL,
    app_id   INTEGER NOT NULL,
    name     TEXT NOT NULL,
    last_seq INTEGER NOT NULL,
    cut_seq  INTEGER NOT NULL DEFAULT 0,
    entries  INTEGER NOT NULL,
    UNIQUE (kind, app_id, name)
);

-- Finds logs over their maximum. Partial, because most channels are one user's and hold a few entries.
CREATE INDEX channels_by_entries ON channels (entries) WHERE entries >= 64;

-- A message once, however many logs it is in. `push` is the protobuf message.
CREATE TABLE messages (
    id             INTEGER PRIMARY KEY,
    expires_at_ms  INTEGER NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    push           BLOB NOT NULL
);

CREATE INDEX messages_by_expiry ON messages (expires_at_ms) WHERE expires_at_ms > 0;
CREATE INDEX messages_by_acceptance ON messages (accepted_at_ms);

CREATE TABLE log (
    channel_id INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    PRIMARY KEY (channel_id, seq)
) WITHOUT ROWID;

-- What makes an append idempotent, and a recall possible.
CREATE UNIQUE INDEX log_by_message ON log (message_id, channel_id);

-- Withdrawn messages, including those whose append has yet to come.
CREATE TABLE recalls (
    message_id INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL
);

CREATE INDEX recalls_by_time ON recalls (at_ms);

CREATE TABLE cursors (
    app_id   INTEGER NOT NULL,
    user     TEXT NOT NULL,
    device   TEXT NOT NULL,
    own      INTEGER NOT NULL,
    app      INTEGER NOT NULL,
    everyone INTEGER NOT NULL,
    PRIMARY KEY (app_id, user, device)
) WITHOUT ROWID;

-- Users whose own log may have entries that all their devices acknowledged, and when to look.
CREATE TABLE acknowledged (
    app_id INTEGER NOT NULL,
    user   TEXT NOT NULL,
    due_ms INTEGER NOT NULL,
    PRIMARY KEY (app_id, user)
) WITHOUT ROWID;

CREATE INDEX acknowledged_by_due ON acknowledged (due_ms);

CREATE TABLE statuses (
    id             INTEGER PRIMARY KEY,
    filed_at_ms    INTEGER NOT NULL,
    app_id         INTEGER NOT NULL,
    type           INTEGER NOT NULL,
    accepted_at_ms INTEGER NOT NULL,
    expires_at_ms  INTEGER NOT NULL,
    recalled       INTEGER NOT NULL,
    gateways       INTEGER NOT NULL,
    stored         INTEGER NOT NULL,
    written        INTEGER NOT NULL,
    queued         INTEGER NOT NULL,
    acked          INTEGER NOT NULL,
    absent         INTEGER NOT NULL,
    expired        INTEGER NOT NULL,
    overflowed     INTEGER NOT NULL,
    replayed       INTEGER NOT NULL,
    redelivered    INTEGER NOT NULL,
    dead           INTEGER NOT NULL,
    withdrawn      INTEGER NOT NULL,
    done           INTEGER NOT NULL
);

CREATE INDEX statuses_by_filing ON statuses (filed_at_ms);

CREATE TABLE dead_letters (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id     INTEGER NOT NULL,
    user       TEXT NOT NULL,
    device     TEXT NOT NULL,
    message_id INTEGER NOT NULL,
    push       BLOB NOT NULL,
    reason     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    UNIQUE (message_id, app_id, user, device)
);

CREATE INDEX dead_letters_by_app ON dead_letters (app_id, position);
CREATE INDEX dead_letters_by_time ON dead_letters (at_ms);

CREATE TABLE upstream (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id INTEGER NOT NULL UNIQUE,
    app_id     INTEGER NOT NULL,
    user       TEXT NOT NULL,
    device     TEXT NOT NULL,
    content    BLOB NOT NULL,
    at_ms      INTEGER NOT NULL
);

CREATE INDEX upstream_by_app ON upstream (app_id, position);
CREATE INDEX upstream_by_time ON upstream (at_ms);
