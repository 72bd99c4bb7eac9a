-- The store's tables: the same as SQLite's, under the same numbers. Unsigned 64-bit numbers (message ids) are kept as signed ones with
-- the same bits; times are Unix milliseconds. Names are bytes of UTF-8, because PostgreSQL's text cannot hold every one of them and is
-- compared by the rules of a language; convert_from(name, 'UTF8') shows them.

-- Single numbers. A row is also the lock of what it counts: who takes a number here holds it until his transaction ends.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- A new store is a new epoch: positions that clients bring from another one mean nothing here.
INSERT INTO meta (name, value) VALUES
    ('epoch', (('x' || substr(md5(gen_random_uuid()::text), 1, 16))::bit(64)::bigint & 9223372036854775807) | 1),
    ('app', 1000),
    ('user', 0),
    ('purge', 0);

CREATE TABLE apps (
    id            BIGINT PRIMARY KEY,
    tag           BYTEA NOT NULL UNIQUE,
    name          BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL
);

INSERT INTO apps (id, tag, name, created_at_ms)
VALUES (1000, 'app_gpusher', 'gpusher', floor(extract(epoch FROM now()) * 1000)::bigint);

-- Ids that were given once: clients hold positions in their logs, so that they are not given again.
CREATE TABLE removed_apps (
    id BIGINT PRIMARY KEY
);

CREATE TABLE users (
    user_id       BIGINT PRIMARY KEY,
    uuid          BYTEA NOT NULL UNIQUE,
    username      BYTEA NOT NULL,
    password_hash BYTEA NOT NULL,
    phone         BYTEA NOT NULL,
    available     BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE UNIQUE INDEX users_by_username ON users (username) WHERE username <> '';

-- One row per log. `last_seq`: the last number given out, to kept and to live messages alike; the row is locked from then until the
-- message is in the log, so that a log grows in the order of its numbers. `cut_seq`: retention removed something up to here.
-- `entries`: how many the log has. Numbers for live messages change rows in place: room is left for that.
CREATE TABLE channels (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     BIGINT NOT NULL,
    app_id   BIGINT NOT NULL,
    name     BYTEA NOT NULL,
    last_seq BIGINT NOT NULL,
    cut_seq  BIGINT NOT NULL DEFAULT 0,
    entries  BIGINT NOT NULL,
    UNIQUE (kind, app_id, name)
) WITH (fillfactor = 80);

-- Finds logs over their maximum. Partial, because most channels are one user's and hold a few entries.
CREATE INDEX channels_by_entries ON channels (entries) WHERE entries >= 64;

-- A message once, however many logs it is in. `push` is the protobuf message.
CREATE TABLE messages (
    id             BIGINT PRIMARY KEY,
    expires_at_ms  BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    push           BYTEA NOT NULL
);

CREATE INDEX messages_by_expiry ON messages (expires_at_ms) WHERE expires_at_ms > 0;
CREATE INDEX messages_by_acceptance ON messages (accepted_at_ms);

CREATE TABLE log (
    channel_id BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    PRIMARY KEY (channel_id, seq)
);

-- What makes an append idempotent, and a recall possible.
CREATE UNIQUE INDEX log_by_message ON log (message_id, channel_id);

-- Withdrawn messages, including those whose append has yet to come.
CREATE TABLE recalls (
    message_id BIGINT PRIMARY KEY,
    at_ms      BIGINT NOT NULL
);

CREATE INDEX recalls_by_time ON recalls (at_ms);

CREATE TABLE cursors (
    app_id   BIGINT NOT NULL,
    "user"   BYTEA NOT NULL,
    device   BYTEA NOT NULL,
    own      BIGINT NOT NULL,
    app      BIGINT NOT NULL,
    everyone BIGINT NOT NULL,
    PRIMARY KEY (app_id, "user", device)
) WITH (fillfactor = 80);

-- Users whose own log may have entries that all their devices acknowledged, and when to look.
CREATE TABLE acknowledged (
    app_id BIGINT NOT NULL,
    "user" BYTEA NOT NULL,
    due_ms BIGINT NOT NULL,
    PRIMARY KEY (app_id, "user")
);

CREATE INDEX acknowledged_by_due ON acknowledged (due_ms);

CREATE TABLE statuses (
    id             BIGINT PRIMARY KEY,
    filed_at_ms    BIGINT NOT NULL,
    app_id         BIGINT NOT NULL,
    type           BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    recalled       BIGINT NOT NULL,
    gateways       BIGINT NOT NULL,
    stored         BIGINT NOT NULL,
    written        BIGINT NOT NULL,
    queued         BIGINT NOT NULL,
    acked          BIGINT NOT NULL,
    absent         BIGINT NOT NULL,
    expired        BIGINT NOT NULL,
    overflowed     BIGINT NOT NULL,
    replayed       BIGINT NOT NULL,
    redelivered    BIGINT NOT NULL,
    dead           BIGINT NOT NULL,
    withdrawn      BIGINT NOT NULL,
    done           BIGINT NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX statuses_by_filing ON statuses (filed_at_ms);

-- Positions are counted per app, in `meta`: a position is seen only after all lower ones.
CREATE TABLE dead_letters (
    app_id     BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    "user"     BYTEA NOT NULL,
    device     BYTEA NOT NULL,
    message_id BIGINT NOT NULL,
    push       BYTEA NOT NULL,
    reason     BYTEA NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (app_id, position),
    UNIQUE (message_id, app_id, "user", device)
);

CREATE INDEX dead_letters_by_time ON dead_letters (at_ms);

CREATE TABLE upstream (
    app_id     BIGINT NOT NULL,
    position   BIGINT NOT NULL,
    message_id BIGINT NOT NULL UNIQUE,
    "user"     BYTEA NOT NULL,
    device     BYTEA NOT NULL,
    content    BYTEA NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (app_id, position)
);

CREATE INDEX upstream_by_time ON upstream (at_ms);
