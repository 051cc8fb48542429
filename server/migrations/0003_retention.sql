-- How many days a room keeps what was said, as its policy has it; 0 for ever. Up to `expired_upto`
-- the bodies of its messages are gone.
ALTER TABLE room ADD COLUMN retention_days INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN expired_upto INTEGER NOT NULL DEFAULT 0;
CREATE INDEX room_retention ON room (number) WHERE retention_days > 0;
