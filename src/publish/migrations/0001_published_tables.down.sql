-- The rows are a projection of the ledger: the next run after `migrate up` fills the tables again.
DROP TABLE paceline.rejects;
DROP TABLE paceline.skips;
DROP TABLE paceline.recommendations;
DROP TABLE paceline.experiments;
DROP TABLE paceline.forecasts;
DROP TABLE paceline.trends;
DROP TABLE paceline.comparisons;
DROP TABLE paceline.bottlenecks;
DROP TABLE paceline.change_points;
DROP TABLE paceline.anomalies;
DROP TABLE paceline.model_scores;
DROP TABLE paceline.predictions;
DROP TABLE paceline.baselines;
DROP TABLE paceline.rollups;
DROP TABLE paceline.applied_version;
