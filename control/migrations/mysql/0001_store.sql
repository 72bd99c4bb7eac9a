-- The store's tables: the same as SQLite's, under the same numbers. Unsigned 64-bit numbers (message ids) are kept as signed ones with
-- the same bits; times are Unix milliseconds. Names are bytes of UTF-8, so that they are compared as such.

-- Single numbers. A row is also the lock of what it counts: who takes a number here holds it until his transaction ends.
CREATE TABLE meta (
    name  VARBINARY(64) PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE = InnoDB;

-- A new store is a new epoch: positions that clients bring from another one mean nothing here.
INSERT INTO meta (name, value) VALUES
    ('epoch', CAST(CONV(SUBSTRING(SHA2(CONCAT(UUID(), RAND()), 256), 1, 15), 16, 10) AS SIGNED) | 1),
    ('app', 1000),
    ('user', 0),
    ('purge', 0);

CREATE TABLE apps (
    id            BIGINT PRIMARY KEY,
    tag           VARBINARY(255) NOT NULL UNIQUE,
    name          VARBINARY(1024) NOT NULL,
    created_at_ms BIGINT NOT NULL
) ENGINE = InnoDB;

INSERT INTO apps (id, tag, name, created_at_ms)
VALUES (1000, 'app_gpusher', 'gpusher', FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000));

-- Ids that were given once: clients hold positions in their logs, so that they are not given again.
CREATE TABLE removed_apps (
    id BIGINT PRIMARY KEY
) ENGINE = InnoDB;

-- `taken`: the username, if there is one; any number of users may have none.
CREATE TABLE users (
    user_id       BIGINT PRIMARY KEY,
    uuid          VARBINARY(255) NOT NULL UNIQUE,
    username      VARBINARY(255) NOT NULL,
    password_hash VARBINARY(1024) NOT NULL,
    phone         VARBINARY(255) NOT NULL,
    available     BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL,
    taken         VARBINARY(255) AS (NULLIF(username, '')) VIRTUAL,
    UNIQUE KEY users_by_username (taken)
) ENGINE = InnoDB;

-- One row per log. `last_seq`: the last number given out, to kept and to live messages alike; the row is locked from then until the
-- message is in the log, so that a log grows in the order of its numbers. `cut_seq`: retention removed something up to here.
-- `entries`: how many the log has; `crowded`: the same, where it is worth an index to find logs over their maximum.
-- The name is the primary key, because a conflict there locks one row, and in another index also the gap before it.
CREATE TABLE channels (
    id       BIGINT NOT NULL AUTO_INCREMENT,
    kind     BIGINT NOT NULL,
    app_id   BIGINT NOT NULL,
    name     VARBINARY(255) NOT NULL,
    last_seq BIGINT NOT NULL,
    cut_seq  BIGINT NOT NULL DEFAULT 0,
    entries  BIGINT NOT NULL,
    crowded  BIGINT AS (IF(entries >= 64, entries, NULL)) VIRTUAL,
    PRIMARY KEY (kind, app_id, name),
    UNIQUE KEY channels_by_id (id),
    KEY channels_by_entries (crowded)
) ENGINE = InnoDB;

-- A message once, however many logs it is in. `push` is the protobuf message.
CREATE TABLE messages (
    id             BIGINT PRIMARY KEY,
    expires_at_ms  BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    push           LONGBLOB NOT NULL,
    KEY messages_by_expiry (expires_at_ms),
    KEY messages_by_acceptance (accepted_at_ms)
) ENGINE = InnoDB;

-- `log_by_message` is what makes an append idempotent, and a recall possible.
CREATE TABLE log (
    channel_id BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    PRIMARY KEY (channel_id, seq),
    UNIQUE KEY log_by_message (message_id, channel_id)
) ENGINE = InnoDB;

-- Withdrawn messages, including those whose append has yet to come.
CREATE TABLE recalls (
    message_id BIGINT PRIMARY KEY,
    at_ms      BIGINT NOT NULL,
    KEY recalls_by_time (at_ms)
) ENGINE = InnoDB;

CREATE TABLE cursors (
    app_id   BIGINT NOT NULL,
    `user`   VARBINARY(255) NOT NULL,
    device   VARBINARY(255) NOT NULL,
    own      BIGINT NOT NULL,
    app      BIGINT NOT NULL,
    everyone BIGINT NOT NULL,
    PRIMARY KEY (app_id, `user`, device)
) ENGINE = InnoDB;

-- Users whose own log may have entries that all their devices acknowledged, and when to look.
CREATE TABLE acknowledged (
    app_id BIGINT NOT NULL,
    `user` VARBINARY(255) NOT NULL,
    due_ms BIGINT NOT NULL,
    PRIMARY KEY (app_id, `user`),
    KEY acknowledged_by_due (due_ms)
) ENGINE = InnoDB;

CREATE TABLE statuses (
    id             BIGINT PRIMARY KEY,
    filed_at_ms    BIGINT NOT NULL,
    app_id         BIGINT NOT NULL,
    `type`         BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    expires_at_ms  BIGINT NOT NULL,
    recalled       BIGINT NOT NULL,
    gateways       BIGINT NOT NULL,
    `stored`       BIGINT NOT NULL,
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
    done           BIGINT NOT NULL,
    KEY statuses_by_filing (filed_at_ms)
) ENGINE = InnoDB;

-- Positions are counted per app, in `meta`: a position is seen only after all lower ones.
CREATE TABLE dead_letters (
    app_id     BIGINT NOT NULL,
    `position` BIGINT NOT NULL,
    `user`     VARBINARY(255) NOT NULL,
    device     VARBINARY(255) NOT NULL,
    message_id BIGINT NOT NULL,
    push       LONGBLOB NOT NULL,
    reason     BLOB NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (app_id, `position`),
    UNIQUE KEY dead_letters_by_message (message_id, app_id, `user`, device),
    KEY dead_letters_by_time (at_ms)
) ENGINE = InnoDB;

CREATE TABLE upstream (
    app_id     BIGINT NOT NULL,
    `position` BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    `user`     VARBINARY(255) NOT NULL,
    device     VARBINARY(255) NOT NULL,
    content    LONGBLOB NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (app_id, `position`),
    UNIQUE KEY upstream_by_message (message_id),
    KEY upstream_by_time (at_ms)
) ENGINE = InnoDB;
