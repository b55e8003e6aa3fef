ALTER TABLE paceline.recommendations
    DROP COLUMN workflow_type,
    DROP COLUMN propensity;
DROP TABLE paceline.outcomes;
