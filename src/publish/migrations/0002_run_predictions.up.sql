-- Predictions of whole runs have no step; and whether realised coverage holds what was promised is a column.
ALTER TABLE paceline.predictions ALTER COLUMN step DROP NOT NULL;
ALTER TABLE paceline.model_scores ADD COLUMN coverage_state text;
