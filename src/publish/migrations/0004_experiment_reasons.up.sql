-- Why an experiment is decided as it is, and what it would take.
ALTER TABLE paceline.experiments
    ADD COLUMN role text,
    ADD COLUMN stat text,
    ADD COLUMN reason text,
    ADD COLUMN e_value double precision,
    ADD COLUMN srm_sequential_p_value double precision,
    ADD COLUMN probability_best double precision,
    ADD COLUMN expected_loss double precision,
    ADD COLUMN detectable_effect double precision,
    ADD COLUMN units_to_decision double precision,
    ADD COLUMN days_to_decision double precision;
