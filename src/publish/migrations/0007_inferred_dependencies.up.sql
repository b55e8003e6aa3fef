-- Replays whose dependencies nobody declared.
ALTER TABLE paceline.bottlenecks ADD COLUMN inferred_confidence double precision;
ALTER TABLE paceline.recommendations ADD COLUMN inferred_confidence double precision;
