-- The keys of open rooms: one more every month, so a room has several. The newest seals what comes;
-- entries from place `from_seq` on, up to that of the next generation, open under this one.
CREATE TABLE room_key (
    room       INTEGER NOT NULL REFERENCES room,
    generation INTEGER NOT NULL,
    from_seq   INTEGER NOT NULL,
    made       INTEGER NOT NULL,
    sealed     BLOB NOT NULL,
    PRIMARY KEY (room, generation)
) STRICT, WITHOUT ROWID;

INSERT INTO room_key (room, generation, from_seq, made, sealed)
    SELECT number, 1, 1, created, sealed_key FROM room WHERE sealed_key IS NOT NULL;
ALTER TABLE room DROP COLUMN sealed_key;
