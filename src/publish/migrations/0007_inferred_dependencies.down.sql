ALTER TABLE paceline.recommendations DROP COLUMN inferred_confidence;
ALTER TABLE paceline.bottlenecks DROP COLUMN inferred_confidence;
