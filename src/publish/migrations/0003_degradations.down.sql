DROP TABLE paceline.degradations;
