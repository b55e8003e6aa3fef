DROP TABLE paceline.spread_changes;
