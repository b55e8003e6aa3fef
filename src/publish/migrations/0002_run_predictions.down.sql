ALTER TABLE paceline.model_scores DROP COLUMN coverage_state;
DELETE FROM paceline.predictions WHERE step IS NULL;
ALTER TABLE paceline.predictions ALTER COLUMN step SET NOT NULL;
