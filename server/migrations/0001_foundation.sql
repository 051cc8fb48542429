-- The first schema. Never edited after the first release; the next change is the next file.
--
-- Numbers that may use all 64 bits (counters, schedule numbers) are stored as the signed number of
-- the same bits. Times and places are stored as they are, up to 2^63 - 1.

-- The identity of this data, made once.
CREATE TABLE identity (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    realm BLOB NOT NULL CHECK (length(realm) = 16)
) STRICT;

-- Small values of the server's own, by name.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    account    BLOB PRIMARY KEY,
    handle     TEXT NOT NULL UNIQUE,
    kind       INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    token      BLOB,
    is_removed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- User chains, one link a row.
CREATE TABLE link (
    account BLOB NOT NULL REFERENCES account,
    seq     INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    link    BLOB NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT, WITHOUT ROWID;

-- Rooms are never deleted, so their numbers are dense from 1.
CREATE TABLE room (
    number      INTEGER PRIMARY KEY,
    room        BLOB NOT NULL UNIQUE,
    workspace   BLOB NOT NULL,
    kind        INTEGER NOT NULL,
    mode        INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    sealed_key  BLOB,
    name_tag    BLOB,
    sealed_name BLOB,
    pair_low    BLOB,
    pair_high   BLOB
) STRICT;
CREATE UNIQUE INDEX room_pair ON room (pair_low, pair_high) WHERE pair_low IS NOT NULL;
CREATE UNIQUE INDEX room_name_tag ON room (workspace, name_tag) WHERE name_tag IS NOT NULL;
-- The lobby: mode 1 is `open`.
CREATE INDEX room_lobby ON room (workspace, room) WHERE mode = 1;

-- Who is present, now. The log is the truth; this answers "which rooms" and "who hears it".
CREATE TABLE member (
    room    INTEGER NOT NULL REFERENCES room,
    account BLOB NOT NULL,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_account ON member (account, room);

-- All logs of all rooms, in the order of arrival, so that a commit that holds entries of a hundred
-- rooms writes a few pages at the end and not one page of each room (measured: half the cost).
-- `place` is `room number << 40 | seq`: a room's entries are one range of its index, and the head is
-- the last of the range. `prev` is the `n` of the message before by the same device in the room:
-- the newest sixteen of a device are sixteen steps, without an index by device.
-- The body comes last: what is read without it never touches its overflow pages.
CREATE TABLE entry (
    n           INTEGER PRIMARY KEY,
    place       INTEGER NOT NULL UNIQUE,
    time        INTEGER NOT NULL,
    tag         INTEGER NOT NULL,
    n_countable INTEGER NOT NULL,
    ctr         INTEGER NOT NULL,
    prev        INTEGER NOT NULL,
    device      BLOB NOT NULL,
    entry_hash  BLOB NOT NULL,
    hash        BLOB NOT NULL,
    body        BLOB
) STRICT;

-- Which places hold commits.
CREATE TABLE commit_place (
    place INTEGER PRIMARY KEY
) STRICT;

-- The newest message of each device in each room. Counters only rise, so this one row is what makes
-- (room, device, counter) unique, without an index that grows with the log.
CREATE TABLE lane (
    room   INTEGER NOT NULL,
    device BLOB NOT NULL,
    ctr    INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (room, device)
) STRICT, WITHOUT ROWID;

-- Numbers of scheduled entries that have been appended: random, so each is kept.
CREATE TABLE schedule_used (
    room   INTEGER NOT NULL,
    device BLOB NOT NULL,
    id     INTEGER NOT NULL,
    PRIMARY KEY (room, device, id)
) STRICT, WITHOUT ROWID;

-- How far each member has each room. A tick, when there is one, signs exactly `read_upto`.
CREATE TABLE mark (
    room           INTEGER NOT NULL REFERENCES room,
    account        BLOB NOT NULL,
    delivered_upto INTEGER NOT NULL,
    read_upto      INTEGER NOT NULL,
    tick_device    BLOB,
    tick_sig       BLOB,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE wrap (
    room     INTEGER NOT NULL REFERENCES room,
    device   BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    account  BLOB NOT NULL,
    hpke_gen INTEGER NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (room, device, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_ask (
    room    INTEGER NOT NULL REFERENCES room,
    account BLOB NOT NULL,
    device  BLOB NOT NULL,
    epoch   INTEGER NOT NULL,
    PRIMARY KEY (room, account, device, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_grant (
    room         INTEGER NOT NULL REFERENCES room,
    device       BLOB NOT NULL,
    from_account BLOB NOT NULL,
    hpke_gen     INTEGER NOT NULL,
    sealed       BLOB NOT NULL,
    PRIMARY KEY (room, device, from_account)
) STRICT, WITHOUT ROWID;

-- `rooms` is the concatenation of room identifiers, 32 bytes each.
CREATE TABLE invite (
    token_hash   BLOB PRIMARY KEY,
    sealed_token BLOB NOT NULL,
    maker        BLOB,
    uses_left    INTEGER NOT NULL,
    names_left   INTEGER NOT NULL,
    created      INTEGER NOT NULL,
    expires      INTEGER NOT NULL,
    rooms        BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invite_maker ON invite (maker, expires);

-- People who came by a member's invite and wait to be added to its rooms.
CREATE TABLE newcomer (
    token_hash   BLOB NOT NULL,
    account      BLOB NOT NULL,
    maker        BLOB NOT NULL,
    proof        BLOB NOT NULL,
    rooms        BLOB NOT NULL,
    sealed_token BLOB NOT NULL,
    PRIMARY KEY (token_hash, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX newcomer_maker ON newcomer (maker);

-- Entries that wait for their time; of two that are due together the earlier made comes first.
CREATE TABLE schedule (
    n       INTEGER PRIMARY KEY,
    room    INTEGER NOT NULL REFERENCES room,
    account BLOB NOT NULL,
    device  BLOB NOT NULL,
    id      INTEGER NOT NULL,
    due     INTEGER NOT NULL,
    body    BLOB NOT NULL,
    UNIQUE (room, device, id)
) STRICT;
CREATE INDEX schedule_due ON schedule (due);
CREATE INDEX schedule_account ON schedule (account, due);
